"""The exceptions and warnings of emdist, and the exit codes of its commands.

::

    EmdistError                       exit code 1
    |-- ConfigError (ValueError)      2  a setting is unknown, malformed or contradictory
    |   `-- StartError                2  a start of the wrong shape, k < 1, k > rows
    |-- DataError (ValueError)        3  the input cannot be clustered as it is
    |   |-- NotFoundError             3  nothing at that path
    |   |-- NotAnArrayError           3  something is there, but no Zarr array
    |   |-- ShapeError                3  not two-dimensional, no rows, wrong number of features
    |   |-- FeatureNamesError         3  features with other names, or in another order
    |   |-- DtypeError                3  object, string, complex, ...
    |   |-- WeightError               3  sample weights negative, non-finite or of another length
    |   |-- NonFiniteError            3  NaN or Inf, with the block and the first rows
    |   |-- MissingChunksError        3  chunks that were never written
    |   |-- CorruptChunkError         3  a chunk that does not decode, by name
    |   |-- DomainError               3  values outside the family's domain: bits, counts
    |   `-- DistinctRowsError         3  fewer distinct rows than clusters
    |-- RunError (RuntimeError)       4  the run folder cannot be used
    |   |-- RunMismatchError          4  the folder belongs to other data or another configuration
    |   |-- RunFencedError            4  another process has taken the run over
    |   |-- CheckpointError           4  no readable checkpoint, model or manifest
    |   |   `-- NewerFormatError      4  a newer emdist wrote it
    |   `-- OutputExistsError         4  something is already where labels should go
    |-- StorageError (OSError)        5  disk full, read-only, no permission, store unreachable
    |-- EngineError (RuntimeError)    6  the threads or the Dask cluster cannot do the work
    |   |-- SchedulerError            6  the scheduler is unreachable or was lost
    |   |-- WorkersError              6  no workers, workers that keep dying or make no progress
    |   `-- WorkerPackageError        6  workers lack a package that the work needs
    |-- CollapseError (ValueError)    7  a component collapsed and `on_collapse` is "raise"
    |-- SkippedError                  0  a run was skipped, as its settings ask
    `-- DriftError                    8  the data have drifted from the model that a fit starts from

The number is the exit code of a command that ends with the error. A message says what happened,
what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from emdist.wording import Layer, with_names, worded


class EmdistError(Exception):
    """Base class of all errors that emdist raises on purpose.

    Attributes
    ----------
    layer
        The layer in which the user works: Python, a configuration or the command line. The
        message names settings as this layer does.
    options
        The names of an estimator's parameters, by the option that each one sets; see
        `emdist.wording.renamed`.
    features
        The names of the features, so that the message gives them beside their numbers; or None.
    """

    exit_code = 1
    layer: Layer = "configuration"
    options: Mapping[str, str] = MappingProxyType({})
    features: Sequence[str] | None = None

    def __str__(self) -> str:
        if len(self.args) != 1 or not isinstance(self.args[0], str):
            return super().__str__()
        text = with_names(self.args[0], self.features) if self.features else self.args[0]
        return worded(text, self.layer, self.options)


class ConfigError(EmdistError, ValueError):
    """A setting is unknown, malformed or contradictory."""

    exit_code = 2


class StartError(ConfigError):
    """The starting values do not match the data or the number of components."""


class DataError(EmdistError, ValueError):
    """The input cannot be clustered as it is."""

    exit_code = 3


class NotFoundError(DataError, FileNotFoundError):
    """There is nothing at the path or URL given."""


class NotAnArrayError(DataError):
    """Something is at the path, but it is not a readable Zarr array."""


class ShapeError(DataError):
    """The array is not two-dimensional, is empty, or has the wrong number of features."""


class FeatureNamesError(DataError):
    """The features of the data and of the model have different names, or a different order."""


class DtypeError(DataError, TypeError):
    """The data type of the array is not one of real numbers."""


class WeightError(DataError):
    """Sample weights are negative, not finite, all zero, or not as many as the rows."""


class NonFiniteError(DataError):
    """The data hold NaN or infinity where these are not allowed."""


class MissingChunksError(DataError):
    """Chunks of the array were never written, and `missing_chunks` is "raise"."""


class CorruptChunkError(DataError):
    """A chunk exists but cannot be decoded."""


class DomainError(DataError):
    """The data hold values that the family cannot produce, such as counts below 0."""


class DistinctRowsError(DataError):
    """The data have fewer distinct rows than there should be clusters."""


class RunError(EmdistError, RuntimeError):
    """The run folder cannot be used for this fit."""

    exit_code = 4


class RunMismatchError(RunError):
    """The run folder belongs to other data or to another configuration."""


class RunFencedError(RunError):
    """Another process has taken over the run, so this one must stop."""


class CheckpointError(RunError):
    """A checkpoint, model or manifest is missing, incomplete or in another format."""


class NewerFormatError(CheckpointError):
    """A newer version of emdist wrote the file, in a format that this one cannot read."""


class OutputExistsError(RunError):
    """Something exists already where an output should be written."""


class StorageError(EmdistError, OSError):
    """Reading or writing failed: disk full, read-only, no permission, store unreachable."""

    exit_code = 5


class AccessDeniedError(StorageError):
    """An object store denies access: credentials are wrong, not permitted, or have expired."""


class RenamedWarning(FutureWarning):
    """A setting was given by its former name. The value still counts."""


class DegenerateWarning(RuntimeWarning):
    """There is a reason to doubt a fit, such as components on the variance floor."""


class EngineError(EmdistError, RuntimeError):
    """The engine could not do the work."""

    exit_code = 6


class SchedulerError(EngineError):
    """The Dask scheduler cannot be reached or was lost."""


class WorkersError(EngineError):
    """There are no workers, or they keep dying, or they make no progress."""


class TooSmallError(WorkersError):
    """A worker has less memory than the blocks and the model need."""


class WorkerPackageError(EngineError):
    """Workers lack a package, or have a different version of it from the driver's."""


class SkippedError(EmdistError):
    """A run was skipped because its settings ask for that. Nothing is wrong."""

    exit_code = 0


class CollapseError(EmdistError, ValueError):
    """A component collapsed, and `on_collapse` is "raise" or cannot repair it."""

    exit_code = 7


class DriftError(EmdistError):
    """The data have drifted too far from the model that a fit starts from. The run is complete."""

    exit_code = 8
