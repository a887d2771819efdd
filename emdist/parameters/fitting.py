"""Parameters of a fit: starts, when it stops, what happens to lost components, schedules."""

from __future__ import annotations

from emdist.parameters.entry import Parameter

FITTING = {
    "seed": Parameter(
        "int",
        "Random seed. The same seed gives bit-identical results with any number of threads or "
        "workers.",
        "Try other seeds to see how much a result depends on its start.",
        "0",
    ),
    "n_init": Parameter(
        "int",
        "Number of restarts. The one with the best objective is kept. All restarts share their "
        "reads of the data.",
        "Raise it (to 10, say) if restarts end at different objectives.",
        "1",
    ),
    "init": Parameter(
        "",
        "How the starting centres or means are chosen, on a sample of the rows.",
        choices={
            "k-means++": "Greedy k-means++.",
            "k-means||": "k-means|| with oversampling.",
            "kmeans": "K-means on the sample, in about the time of an iteration on all rows.",
            "random": "Random rows.",
            "standardised": "K-means with every feature divided by its standard deviation.",
            "cleaned": "K-means without rows that have no near neighbours, for data with noise "
            "(Byers and Raftery 1998).",
        },
        default="k-means++ for centres; kmeans for mixtures; standardised for products; cleaned "
        "with noise.",
    ),
    "start": Parameter(
        "str",
        "An .npz file with starting parameters: means (k, d) and, if wanted, weights (k,) and the "
        "scales of the family.",
        default="Starting values are chosen by fit.init.",
    ),
    "from": Parameter(
        "str",
        "An earlier model that the fit starts from: the folder or URL of a run or of a saved "
        "model, or 'latest' for the newest finished run of the same data in run.folder. "
        "'latest:NAME' looks at all runs whose keys begin with NAME. The components keep their "
        "numbers, and the summary tells how far the data are from the earlier model.",
        "Use it to fit again when data have grown; docs/growing.md describes it.",
        default="Starting values are chosen by fit.init.",
    ),
    "max_iter": Parameter(
        "int",
        "Maximum number of iterations of one restart.",
        "Raise it if a fit ends without having converged.",
        "300 for models of centres, 1000 for variational models, 100 for other mixtures.",
    ),
    "tol": Parameter(
        "float",
        "Stop when an iteration changes the model by less than this: for mixtures, the gain in "
        "log-likelihood per row in nats; for variational models, the gain in the bound of all rows "
        "together; for centres, their summed squared movement relative to the mean variance of the "
        "features.",
        "Lower it for more exact parameters, at the cost of more iterations.",
        "1e-3 for mixtures, 1e-4 for centres, 0 (exact) for kmedians.",
    ),
    "on_collapse": Parameter(
        "",
        "What to do with a component that loses its rows, or becomes too narrow to have a density.",
        choices={
            "regularise": "Keep it, with the parameters that the M-step gives it. Variances of "
            "Gaussians contain reg_covar; if it is too small for a density, the fit stops with an "
            "error.",
            "reseed": "Move it to the row that the model explains worst.",
            "drop": "Remove it, and go on with fewer components.",
            "raise": "Stop with an error.",
        },
        default="reseed for centres, regularise for mixtures.",
    ),
    "sample_rows": Parameter(
        "int",
        "Number of rows that the driver holds to choose starting values from.",
        "Raise it if clusters are small: a cluster with no row in the sample gets no start.",
        "16384, or 64 for each component, up to 16 MiB.",
    ),
    "schedule": Parameter(
        "",
        "How EM iterates over the data. The default suits most data; docs/schedules.md compares "
        "them.",
        choices={
            "auto": "For K-means, 'pruned' where that is faster, once centres move little; "
            "otherwise 'batch'.",
            "batch": "One M-step after each pass over all rows.",
            "pruned": "Exact K-means that skips rows whose cluster cannot change.",
            "squarem": "Extrapolates from the last EM steps, for fits that need many iterations. "
            "Needs soft assignment.",
            "incremental": "An M-step after each group of blocks.",
            "sparse": "Skips components that do not matter for a row. Needs soft assignment.",
            "stepwise": "Online EM in the first passes, then batch.",
            "minibatch": "Online passes over mini-batches, then batch. Needs K-means or hard "
            "assignment.",
        },
    ),
    "schedule_options": Parameter(
        "dict", "Options of the schedule, such as {'groups': 8} for incremental."
    ),
}
