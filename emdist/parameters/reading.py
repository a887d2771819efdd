"""Parameters of data: where rows lie, and how they are read."""

from __future__ import annotations

from emdist.parameters.entry import Parameter

READING = {
    "block_size": Parameter(
        "str",
        "Size of a block of rows in memory, such as '64 MiB'. Each thread or worker processes one "
        "block at a time.",
        "Make it smaller if memory is short. Results for another block size agree to about ten "
        "digits; they are not bit-identical.",
        "A sixteenth of the data, but at least 2 and at most 128 MiB.",
    ),
    "missing_chunks": Parameter(
        "",
        "What to do with chunks of a Zarr array that were never written.",
        choices={
            "raise": "Stop with an error.",
            "drop": "Leave out their rows.",
            "fill": "Use the fill value of the array.",
        },
    ),
    "corrupt_chunks": Parameter(
        "",
        "What to do with chunks of a Zarr array that cannot be decoded.",
        choices={"raise": "Stop with an error.", "drop": "Leave out their rows."},
    ),
    "non_finite": Parameter(
        "",
        "What to do with rows that contain NaN or infinity.",
        choices={
            "raise": "Stop with an error.",
            "drop": "Leave out these rows.",
            "missing": "Treat NaN as missing at random and fit what is observed; infinity is an "
            "error.",
        },
    ),
    "decode": Parameter(
        "",
        "How stored numbers of a Zarr array become values.",
        choices={
            "cf": "Apply the attributes scale_factor, add_offset, _FillValue, missing_value and "
            "_Unsigned, as xarray does. Fill values become NaN, which non_finite decides about.",
            "none": "Use the stored numbers as they are.",
        },
    ),
}

LAYOUT = {
    "data.variables": Parameter(
        "list of str",
        "Variables of a Zarr group that become features, or patterns such as 'B*'.",
        default="The only one there is.",
    ),
    "data.samples": Parameter(
        "list of str",
        "Dimensions that make up the rows. One of samples and features is enough.",
        default="All dimensions that are not in features.",
    ),
    "data.features": Parameter(
        "list of str",
        "Dimensions that make up the features.",
        default="All dimensions that are not in samples.",
    ),
    "data.select": Parameter(
        "dict",
        "What to read of a dimension: a range [low, high] of its coordinate, one value of it, "
        "{values: [...]}, or {index: ...} for positions.",
        default="Everything.",
    ),
    "data.select_rows": Parameter(
        "str",
        "Rows to read, as a slice of the first sample dimension: '500000:' or ':500000'. 'new' "
        "stands for the rows that the labels at labels.path do not have yet.",
        "Use it if data grow: docs/growing.md describes it.",
        default="All rows.",
    ),
    "data.where": Parameter(
        "list of dict",
        "Conditions on variables that a row must meet, such as {variable: landmask, equals: 0}; "
        "also not_equals, at_least, at_most, above and below. Other rows are left out.",
        default="Every row counts.",
    ),
    "data.time": Parameter(
        "str",
        "For hidden Markov models of data with named dimensions: the sample dimension along which "
        "rows follow one another. Each position of the other sample dimensions is a sequence, such "
        "as a pixel of a map.",
        default="All rows are one sequence.",
    ),
}

PREPARE = {
    "prepare": Parameter(
        "list",
        "Steps that prepare rows before they are clustered, in their order: log1p, clip, "
        "normalise, standardise, pca, or a name with its options as in {pca: 8}.",
        "Standardise features of different units, and use pca for many correlated features. "
        "docs/prepare.md lists the options.",
    ),
}

PLACES = {
    "data.path": Parameter(
        "str",
        "Path or URL (s3://, gs://, az://, http://) of a Zarr array of shape (rows, features), or "
        "of a group of variables with named dimensions. The path may lead into a ZIP file.",
    ),
    "data.array": Parameter("str", "Path of the array inside a Zarr group."),
    "data.sequences": Parameter(
        "str",
        "For hidden Markov models: path or URL of a 1-D Zarr array with the id of the sequence of "
        "each row. Rows of one sequence lie one after another, in the order of time.",
        default="All rows are one sequence.",
    ),
    "data.lengths": Parameter(
        "list of int or str",
        "For hidden Markov models: the number of rows of each sequence, in the order of the rows, "
        "or path or URL of a 1-D Zarr array with these numbers. They sum to the number of rows.",
        default="All rows are one sequence.",
    ),
    "data.weights": Parameter(
        "str",
        "Sample weights >= 0: path or URL of a 1-D Zarr array with one for each row or, for data "
        "with named dimensions, the name of a variable on sample dimensions, such as the area of "
        "grid cells.",
        default="Every row has weight 1.",
    ),
    "data.storage_options": Parameter(
        "dict",
        "Options of the object store, such as endpoint, region and allow_http.",
        "Put credentials into environment variables, not here.",
    ),
    "ingest.source": Parameter(
        "str",
        "File, folder or glob of NPY, NPZ, CSV, Parquet or image files. They are copied to "
        "data.path if nothing is there yet.",
    ),
    "ingest.columns": Parameter("list of str", "Columns to use as features.", default="All."),
    "ingest.weight_column": Parameter("str", "Column of sample weights.", default="None."),
    "ingest.dtype": Parameter(
        "str", "Data type of the array. 'auto' keeps the type of the source."
    ),
    "ingest.rows_per_chunk": Parameter(
        "int", "Rows in each chunk of the array.", default="As many as make 8 MiB."
    ),
}
