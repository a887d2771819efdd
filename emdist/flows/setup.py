"""`emdist flow setup`: a work pool with a limit, and automations that take care of its flow runs.

Prefect does nothing by itself when a flow run falls silent, never begins or crashes. Automations
do: they mark such a run as crashed, which frees its slot of the work pool, retry it after a while,
and give up after some crashes. Running this again changes what differs, and creates nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from prefect import get_client
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import ActionTypes, ChangeFlowRunState, SendNotification
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from emdist.errors import ConfigError
from emdist.flows.workarounds.server import needed_api
from emdist.flows.worker import TYPE
from emdist.report.page import numbered

#: Heartbeats that a flow run may miss.
PATIENCE = 3.5
_RUN = "prefect.flow-run."
_ENDS = ("Completed", "Skipped", "Failed", "Cancelled", "Crashed", "TimedOut")
_BEFORE = ("Scheduled", "Late", "AwaitingRetry", "AwaitingConcurrencySlot")
_PAUSED = ("Paused", "Suspended")
_SHARED = "emdist: silent runs have crashed"
#: The subject and the text of a notification.
_SUBJECT = "emdist: {{ flow_run.name }} is {{ flow_run.state.name }}"
_BODY = "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}"


@dataclass(frozen=True)
class Care:
    """How the automations of a work pool treat its flow runs; all times are in seconds."""

    pool: str
    limit: int | None = None
    heartbeat: float = 60.0
    start_timeout: float = 600.0
    retries: int = 5
    retry_delay: float = 60.0
    notify: str | None = None


def run(care: Care) -> int:
    """Set up the work pool and the automations, print what was done, and return the exit code."""
    needed_api("emdist flow setup")
    with get_client(sync_client=True) as client:
        block = None if care.notify is None else _block(client, care.notify)
        print(_pool(client, care))
        for one in automations(care, block):
            print(_put(client, one))
    return 0


def heartbeat_of_settings() -> float:
    """Return the seconds between two heartbeats that the settings of Prefect ask for."""
    found = get_current_settings().flows.heartbeat_frequency
    if found is None:
        raise ConfigError(
            "Heartbeats are off, so flow runs that fall silent cannot be seen. Set "
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY, for example to 60, here and where flows run."
        )
    return float(found)


def automations(care: Care, block: Any = None) -> list[Automation]:
    """Return the automations of a work pool; `block` is the id of a notification block."""
    found = [_silent(care), _stuck(care), _hopeless(care), _retry(care)]
    if block is not None:
        found.append(_told(care, block))
    return found


def _silent(care: Care) -> Automation:
    silence = PATIENCE * care.heartbeat
    return _automation(
        _SHARED,
        "The process, its pod or its machine is gone, or cannot reach the server.",
        # A flow run that was told to end, and is scheduled again, need not be heard of.
        _absent(None, ["heartbeat"], ["heartbeat", *_BEFORE, *_PAUSED, *_ENDS], silence),
        [_crashed(f"No heartbeat for {silence:g} s: its process, pod or machine is gone.")],
    )


def _stuck(care: Care) -> Automation:
    return _automation(
        f"emdist: flow runs of {care.pool} that never begin have crashed",
        "A worker took the flow run and was gone before it began. It keeps a slot of the pool.",
        _absent(
            care.pool,
            ["Pending", "Submitting", "InfrastructurePending"],
            ["Running", "Retrying", "Cancelling", *_ENDS, *_BEFORE],
            care.start_timeout,
        ),
        [_crashed(f"It did not begin within {care.start_timeout:g} s: its worker is gone.")],
    )


def _hopeless(care: Care) -> Automation:
    crashes = care.retries + 1
    return _automation(
        f"emdist: flow runs of {care.pool} that crash again and again have failed",
        f"{crashes} crashes within a day. Flow runs that have failed are not retried.",
        EventTrigger(
            match=_runs(),
            match_related=_in_pool(care.pool),
            expect={f"{_RUN}Crashed"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=crashes,
            within=timedelta(days=1),
        ),
        [
            ChangeFlowRunState(
                state=StateType.FAILED,
                message=f"It crashed {crashes} times within a day, so it is not retried any more. "
                "Read its log, mend the cause and retry it: it resumes from its checkpoint.",
            )
        ],
    )


def _retry(care: Care) -> Automation:
    return _automation(
        f"emdist: flow runs of {care.pool} that crashed are retried",
        "Not at once: the worker may report the crash once more, which would end a retry.",
        _absent(
            care.pool,
            ["Crashed"],
            ["Pending", "Running", "Retrying", *_BEFORE, *(e for e in _ENDS if e != "Crashed")],
            care.retry_delay,
        ),
        [
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message="Retried after a crash. It resumes from its checkpoint.",
            )
        ],
    )


def _told(care: Care, block: Any) -> Automation:
    return _automation(
        f"emdist: crashed and failed flow runs of {care.pool} are told",
        "Sends a notification.",
        EventTrigger(
            match=_runs(),
            match_related=_in_pool(care.pool),
            expect={f"{_RUN}Crashed", f"{_RUN}Failed"},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        [SendNotification(block_document_id=block, subject=_SUBJECT, body=_BODY)],
    )


def _automation(
    name: str, description: str, trigger: EventTrigger, actions: Sequence[ActionTypes]
) -> Automation:
    return Automation(name=name, description=description, trigger=trigger, actions=list(actions))


def _absent(
    pool: str | None, after: Sequence[str], expect: Sequence[str], seconds: float
) -> EventTrigger:
    """Return a trigger for flow runs where nothing of `expect` follows `after` in that time."""
    return EventTrigger(
        match=_runs(),
        match_related=_in_pool(pool),
        after={_RUN + name for name in after},
        expect={_RUN + name for name in expect},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )


def _runs() -> ResourceSpecification:
    return ResourceSpecification({"prefect.resource.id": f"{_RUN}*"})


def _in_pool(pool: str | None) -> ResourceSpecification:
    named = {"prefect.resource.role": "work-pool", "prefect.resource.name": pool}
    return ResourceSpecification({} if pool is None else cast(dict[str, Any], named))


def _crashed(message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(state=StateType.CRASHED, message=message)


def _pool(client: SyncPrefectClient, care: Care) -> str:
    """Create the work pool, or set its limit; return what was done."""
    try:
        found = client.read_work_pool(care.pool)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(name=care.pool, type=TYPE, concurrency_limit=care.limit)
        )
        return f"created    work pool {care.pool}{_limit(care.limit)}"
    if care.limit is None or found.concurrency_limit == care.limit:
        return f"unchanged  work pool {care.pool}{_limit(found.concurrency_limit)}"
    client.update_work_pool(care.pool, WorkPoolUpdate(concurrency_limit=care.limit))
    return f"updated    work pool {care.pool}{_limit(care.limit)}"


def _limit(limit: int | None) -> str:
    return ", no limit" if limit is None else f", at most {numbered(limit, 'flow run')} at once"


def _put(client: SyncPrefectClient, wanted: Automation) -> str:
    """Create an automation, or make the one of its name equal to it; return what was done."""
    try:
        # It is a coroutine only in an async context.
        found = cast(Automation, Automation.read(name=wanted.name))
    except ValueError:
        wanted.create()
        return f"created    {wanted.name}"
    if _same(found) == _same(wanted):
        return f"unchanged  {wanted.name}"
    wanted.id = found.id
    wanted.update()
    return f"updated    {wanted.name}"


def _same(automation: Automation) -> dict[str, Any]:
    """Return what two equal automations have in common."""
    values = automation.model_dump(mode="json", include={"description", "trigger", "actions"})
    values["trigger"].pop("id", None)
    for key in ("after", "expect", "for_each"):
        values["trigger"][key] = sorted(values["trigger"][key])
    return values


def _block(client: SyncPrefectClient, name: str) -> Any:
    """Return the id of the block TYPE/NAME; raise ConfigError if there is none."""
    kind, slash, own = name.partition("/")
    if slash and own:
        try:
            return client.read_block_document_by_name(own, kind).id
        except ObjectNotFound:
            pass
    known = ", ".join(
        sorted(
            f"{one.block_type.slug}/{one.name}"
            for one in client.read_block_documents()
            if one.block_type is not None
        )
    )
    raise ConfigError(
        f"--notify: the server has no block {name!r}. Expected TYPE/NAME of a notification block, "
        f"such as slack-webhook/operators. Its blocks: {known or 'none'}. Create one in the web "
        "interface of Prefect (Blocks)."
    )
