"""Every error that emdist raises on purpose.

::

    EmdistError                       exit code 1
    |-- ConfigError (ValueError)      2  a setting is unknown, malformed or contradictory
    |   `-- StartError                2  a start of the wrong shape, k < 1, k > rows
    |-- DataError (ValueError)        3  the input cannot be clustered as it is
    |   |-- NotFoundError             3  nothing at that path
    |   |-- NotAnArrayError           3  something is there, but no Zarr array
    |   |-- ShapeError                3  not two-dimensional, no rows, wrong number of features
    |   |-- FeatureNamesError         3  features of other names, or in another order
    |   |-- DtypeError                3  object, string, complex, ...
    |   |-- WeightError               3  sample weights negative, non-finite or of another length
    |   |-- NonFiniteError            3  NaN or Inf, with the block and the first rows
    |   |-- MissingChunksError        3  chunks that were never written
    |   |-- CorruptChunkError         3  a chunk that does not decode, by name
    |   |-- DomainError               3  values outside the family's domain: bits, counts
    |   `-- DistinctRowsError         3  fewer distinct rows than clusters
    |-- RunError (RuntimeError)       4  the run folder cannot be used
    |   |-- RunMismatchError          4  it belongs to other data or another configuration
    |   |-- RunFencedError            4  another process has taken the run over
    |   |-- CheckpointError           4  no readable checkpoint, model or manifest
    |   |   `-- NewerFormatError      4  a newer emdist wrote it
    |   `-- OutputExistsError         4  something is already where labels should go
    |-- StorageError (OSError)        5  disk full, read-only, no permission, store unreachable
    |-- EngineError (RuntimeError)    6  the cluster cannot do the work
    |   |-- SchedulerError            6  the scheduler is unreachable or was lost
    |   |-- WorkersError              6  no workers, workers that keep dying or stand still
    |   `-- WorkerPackageError        6  workers lack a package that the work needs
    `-- CollapseError (ValueError)    7  a component collapsed and the policy says raise

The exit code is what the command line returns. A message says what was got, what was wanted
and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emdist.wording import Layer, worded


class EmdistError(Exception):
    """Base of all errors that emdist raises on purpose.

    Attributes
    ----------
    layer
        Where the user is who reads the message: it names settings as that layer does.
    options
        Parameters of an estimator by the option of its model that they are.
    """

    exit_code = 1
    layer: Layer = "configuration"
    options: Mapping[str, str] = MappingProxyType({})

    def __str__(self) -> str:
        if len(self.args) != 1 or not isinstance(self.args[0], str):
            return super().__str__()
        return worded(self.args[0], self.layer, self.options)


class ConfigError(EmdistError, ValueError):
    """A setting is unknown, malformed or contradictory."""

    exit_code = 2


class StartError(ConfigError):
    """The start of the fit does not fit the data or the number of components."""


class DataError(EmdistError, ValueError):
    """The input cannot be clustered as it is."""

    exit_code = 3


class NotFoundError(DataError, FileNotFoundError):
    """There is nothing at the path or URL given."""


class NotAnArrayError(DataError):
    """Something is at the path, but it is not a readable Zarr array."""


class ShapeError(DataError):
    """The array is not two-dimensional, is empty, or has another number of features."""


class FeatureNamesError(DataError):
    """The data's features have other names than the model's, or another order."""


class DtypeError(DataError, TypeError):
    """The array's data type holds no real numbers."""


class WeightError(DataError):
    """Sample weights are negative, not finite, all zero, or of another length."""


class NonFiniteError(DataError):
    """The data holds NaN or Inf and the policy is to raise."""


class MissingChunksError(DataError):
    """Chunks of the array were never written and the policy is to raise."""


class CorruptChunkError(DataError):
    """A chunk exists but cannot be decoded."""


class DomainError(DataError):
    """The data holds values that the family cannot produce."""


class DistinctRowsError(DataError):
    """The data has fewer distinct rows than clusters were asked for."""


class RunError(EmdistError, RuntimeError):
    """The run folder cannot be used for this fit."""

    exit_code = 4


class RunMismatchError(RunError):
    """The run folder belongs to other data or to another configuration."""


class RunFencedError(RunError):
    """Another process has taken the run over; this one must stop."""


class CheckpointError(RunError):
    """A checkpoint, model or manifest is missing, torn or not of this format."""


class NewerFormatError(CheckpointError):
    """A newer emdist wrote this."""


class OutputExistsError(RunError):
    """There is already something where an output should go."""


class StorageError(EmdistError, OSError):
    """Reading or writing failed: disk full, read-only, no permission, unreachable."""

    exit_code = 5


class RenamedWarning(FutureWarning):
    """A setting was given by a name that it had before; what it says still counts."""


class DegenerateWarning(RuntimeWarning):
    """A fit has components that a careful statistician would doubt."""


class EngineError(EmdistError, RuntimeError):
    """The engine could not do the work."""

    exit_code = 6


class SchedulerError(EngineError):
    """The Dask scheduler cannot be reached or was lost."""


class WorkersError(EngineError):
    """There are no workers, or they keep dying, or they stand still."""


class WorkerPackageError(EngineError):
    """Workers lack a package, or have another version of it than the driver."""


class CollapseError(EmdistError, ValueError):
    """A component collapsed and the policy is to raise, or no policy can mend it."""

    exit_code = 7
