"""Parameters of a run: where it computes, where its results go, and sweeps."""

from __future__ import annotations

from emdist.parameters.entry import Parameter

RUNNING = {
    "cluster.kind": Parameter(
        "",
        "Where blocks are computed.",
        choices={
            "threads": "Threads of this process.",
            "local": "A Dask cluster started on this machine.",
            "address": "A running Dask scheduler, by address or scheduler file.",
            "by_class": "A Dask cluster started by a class: Kubernetes, SLURM, a cloud.",
        },
    ),
    "cluster.threads": Parameter(
        "int", "Number of threads, for kind threads.", default="One for each available core."
    ),
    "cluster.stall_timeout": Parameter(
        "float",
        "Seconds without progress after which blocks are given to other workers. Dask only.",
        "Raise it if one block takes longer than ten minutes.",
    ),
    "cluster.memory": Parameter(
        "str",
        "Memory that a process may use, such as '4 GiB'. What the blocks at work leave free is "
        "used to read ahead and to keep decoded blocks between passes.",
        "Set it on a machine that you share.",
        "What is free on the machine; of a Dask worker, its limit.",
    ),
    "cluster.cache": Parameter(
        "str",
        "Memory in which a process keeps decoded blocks between passes: 'auto', 'off', or a size "
        "such as '4 GiB'. 'auto' takes half of the memory that is free, and gives it back when "
        "memory gets short.",
        "Results do not depend on it. Use 'off' to hold no more than the blocks at work.",
    ),
    "drift.moved": Parameter(
        "float",
        "Limit for the distance by which a component moves from its place in the model that "
        "fit.from names, in standard deviations of the data.",
        default="No limit.",
    ),
    "drift.share": Parameter(
        "float",
        "Limit for the change of the share of a component since the model that fit.from names, "
        "such as 0.1.",
        default="No limit.",
    ),
    "drift.score": Parameter(
        "float",
        "Limit for how much worse the earlier model describes the data than its own: "
        "the loss of log-likelihood per row in nats or, for centres, the relative growth of the "
        "inertia per row.",
        default="No limit.",
    ),
    "drift.action": Parameter(
        "",
        "What to do if a limit is exceeded. The run is complete either way.",
        choices={
            "warn": "Say so in a warning and in the summary.",
            "fail": "End with an error (exit code 8).",
        },
    ),
    "daily.folder": Parameter(
        "str",
        "Local folder or URL in which `emdist flow daily` publishes models and labels.",
    ),
    "daily.refit_every": Parameter(
        "str",
        "Fit again, starting from the accepted model, when the last fit is this old, such as 7d.",
        default="Never.",
    ),
    "daily.refit_share": Parameter(
        "float",
        "Fit again if the share of a component among the rows that are new differs by more than "
        "this from its share when the model was accepted, such as 0.1.",
        default="Never.",
    ),
    "daily.refit_score": Parameter(
        "float",
        "Fit again if the accepted model describes the rows that are new worse by more than this: "
        "the loss of log-likelihood per row in nats or, for centres, the relative growth of the "
        "inertia per row.",
        default="Never.",
    ),
    "run.folder": Parameter("str", "Local folder or URL that contains the runs."),
    "run.key": Parameter(
        "str",
        "Name of the run. Starting a run of the same name resumes it.",
        default="Made from the configuration, so that the same configuration finds its run.",
    ),
    "run.checkpoint_seconds": Parameter(
        "float",
        "Write a checkpoint after this many seconds of iterations.",
        "Lower it if machines are often lost; a lost run repeats at most this much.",
    ),
    "run.checkpoint_iterations": Parameter(
        "int", "Write a checkpoint after this many iterations, too.", default="No limit."
    ),
    "run.keep_last": Parameter("int", "Number of newest checkpoints to keep."),
    "run.keep_every": Parameter(
        "int", "Also keep every checkpoint whose number is a multiple of this; 0 keeps none."
    ),
    "run.retention": Parameter(
        "str",
        "How long the run is kept after it has finished, such as '30d'. `emdist runs rm --expired` "
        "then deletes it; nothing else does.",
        default="For ever.",
    ),
    "run.retention_keep_model": Parameter(
        "bool", "Keep the model, the record and the summary of a run that `run.retention` ends."
    ),
    "run.extend": Parameter(
        "bool",
        "Continue an existing run with another fit.max_iter or fit.tol instead of refusing the "
        "change.",
    ),
    "run.if_running": Parameter(
        "",
        "What to do if another process is working on the run of this name. A process that ended "
        "without saying so counts as working for up to a minute, unless it ran on this machine.",
        choices={
            "take_over": "Continue its run from the newest checkpoint. The other process stops.",
            "wait": "Wait until it has finished or died. Then show its result, or continue.",
            "skip": "Do nothing, and end with exit code 0.",
        },
    ),
    "run.skip_late": Parameter(
        "str",
        "Skip a flow run that begins later than this after the time for which its schedule made "
        "it, such as '2h'. It has no effect on runs that a person starts.",
        default="Late flow runs are not skipped.",
    ),
    "run.plan": Parameter(
        "",
        "Whether to predict how long the run takes, by a trial of about five seconds on some of "
        "its blocks. The summary then says how right that was.",
        choices={
            "auto": "In Prefect flows, for data of at least 1 GiB.",
            "always": "Before every run that begins.",
            "never": "Never.",
        },
    ),
    "run.metrics_file": Parameter(
        "str",
        "Keep a file with metrics of the run for Prometheus, such as "
        "/var/lib/node_exporter/emdist.prom: iterations, rows and bytes, retries, stalls and "
        "checkpoints. It is in the format of the node exporter's textfile collector.",
        default="No file.",
    ),
    "run.storage_options": Parameter("dict", "Options of the object store of run.folder."),
    "labels.write": Parameter("bool", "Write a label for every row once the fit has ended."),
    "labels.path": Parameter(
        "str",
        "Path or URL of the Zarr group for the labels.",
        default="labels.zarr in the folder of the run.",
    ),
    "labels.outputs": Parameter(
        "list",
        "What to write for each row: 'labels' (index of the cluster or component), 'score' "
        "(log-likelihood, or squared or L1 distance), 'responsibilities' (one column for each "
        "component), and for mixtures 'probability' (one map for each of labels.components), "
        "'max_posterior' (the largest posterior probability) and 'entropy' (of the posterior "
        "probabilities, in nats). For hidden Markov models, labels are the most probable path, the "
        "score is the log-likelihood given the rows before, responsibilities are smoothed "
        "posteriors (given the whole sequence), 'filtered' are posteriors given the rows so far, "
        "and 'predicted' are the probabilities of the states in the next time step.",
    ),
    "labels.components": Parameter(
        "list of int",
        "The components of the output 'probability', -1 for noise.",
        default="all components.",
    ),
    "labels.overwrite": Parameter("bool", "Replace labels that are already at labels.path."),
    "labels.storage_options": Parameter("dict", "Options of the object store of labels.path."),
    "sweep.n_components": Parameter(
        "list of int", "Numbers of components to compare: [2, 4, 8], '2..16' or '2..30..4'."
    ),
    "sweep.families": Parameter(
        "list of str", "Models to compare, by name.", default="model.name alone."
    ),
    "sweep.criterion": Parameter(
        "",
        "How the best model is chosen.",
        choices={
            "bic": "Bayesian information criterion.",
            "aic": "Akaike information criterion.",
            "icl": "Integrated completed likelihood.",
            "bound": "Evidence lower bound, for variational models.",
            "calinski_harabasz": "Variance between clusters by variance within.",
            "silhouette": "Mean silhouette, for squared Euclidean distances: a heuristic.",
            "davies_bouldin": "Davies-Bouldin index: a heuristic.",
            "elbow": "Where the objective bends: a heuristic.",
        },
        default="bic for mixtures, bound for variational models, icl for kmeans and kmedians.",
    ),
    "sweep.allow_degenerate": Parameter(
        "bool",
        "Whether a model whose components lie on the variance floor may be the best. Its "
        "likelihood depends on the floor alone.",
    ),
    "sweep.sums_memory": Parameter(
        "str",
        "Memory for the sums of all models of one block. If they need more, a pass takes more "
        "than one read of the data.",
    ),
}
