"""The Temporal client: connects when first needed, hands events over, and tells errors apart.

Nothing here waits long: every call is bounded to seconds, and the long back-off is the caller's. One `TemporalLink`
per process and event loop; never fork after it has connected.
Source of the classification: measured with temporalio 1.35 against a server that was stopped, killed and absent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Final, TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from iris.adapters.clock import SystemClock
from iris.adapters.temporal_failures import DATA_CONVERTER
from iris.base.errors import ConfigError, InputError, IrisError, UnavailableError
from iris.base.redact import redact
from iris.base.timebase import US_PER_S
from iris.contracts import names
from iris.contracts.events import EventMessage, EventStart
from iris.contracts.texts import clock_text, labels_text
from iris.contracts.workflows import EventWorkflow
from iris.ports import Clock

# The client's own tries end after 2 s (its default is 10 s, whatever the timeout of a call is).
_RETRY: Final = RetryConfig(max_elapsed_time_millis=2000, max_retries=3)
RPC_TIMEOUT: Final = timedelta(seconds=3)
# Bounds what the two above do not: connecting, and the server's wish to be asked again later.
_CALL_LIMIT_S: Final = 5.0
_PROBE_LIMIT_S: Final = 2.0

_REFUSED: Final = frozenset(
    {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE}
)
# NOT_FOUND is of the namespace here: callers that ask for a workflow look at it first.
_MISCONFIGURED: Final = frozenset({
    RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.NOT_FOUND,
    RPCStatusCode.UNIMPLEMENTED,
})  # fmt: skip

_ENDED_FROM_OUTSIDE: Final = frozenset({
    WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.CANCELED, WorkflowExecutionStatus.TIMED_OUT,
})  # fmt: skip
# A failed run was refused by the database for good. Somebody may have repaired that since; more often is of no use.
_FAILED_REST_US: Final = 3600 * US_PER_S

T = TypeVar("T")


def translate(error: RPCError) -> IrisError:
    """The error of Iris for a failed call: refused for good, wrong set-up, or away for now."""
    text = redact(error.message)
    if error.status in _REFUSED:
        return InputError(f"Temporal refused it: {text}")
    if error.status in _MISCONFIGURED:
        return ConfigError(f"Temporal does not let Iris in (check TEMPORAL_ADDRESS and the namespace): {text}")
    return UnavailableError(f"Temporal cannot be reached now: {text}")


class TemporalLink:
    """One connection to one namespace, made at the first call that succeeds and kept; it heals by itself."""

    def __init__(
        self, address: str, *, identity: str, namespace: str = "default", environment: Mapping[str, str] | None = None
    ) -> None:
        """Connect later to `address`.

        Args:
            address: host:port of the frontend.
            identity: What Temporal shows as the author of calls; no host name of itself.
            namespace: Temporal namespace.
            environment: For an external server, where TEMPORAL_API_KEY and TEMPORAL_TLS_* are looked up.
        """
        self._address = address
        self._namespace = namespace
        self._identity = identity
        self._environment = dict(environment or {})
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def client(self) -> Client:
        """The connected client.

        Raises:
            UnavailableError: Nothing answers at the address.
        """
        async with self._connecting:
            if self._client is None:
                self._client = await self._bounded(self._connect())
            return self._client

    async def _connect(self) -> Client:
        options = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars=self._environment)
        options["target_host"] = self._address
        options["namespace"] = self._namespace
        return await Client.connect(
            **options, identity=self._identity, retry_config=_RETRY, data_converter=DATA_CONVERTER
        )

    async def call(self, request: Awaitable[T]) -> T:
        """Await a request of the client, bounded, with its errors translated.

        Raises:
            UnavailableError, InputError, ConfigError: See `translate`.
        """
        try:
            return await self._bounded(request)
        except RPCError as error:
            raise translate(error) from None

    async def _bounded(self, request: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(_CALL_LIMIT_S):
                return await request
        except TimeoutError:
            raise UnavailableError(
                f"Temporal at {self._address} did not answer within {_CALL_LIMIT_S:.0f} s."
            ) from None
        except RuntimeError as error:  # what connecting raises, also when it is done late, inside a call
            raise UnavailableError(f"Temporal at {self._address} cannot be reached: {redact(str(error))}") from None

    async def answers(self) -> bool:
        """The `TemporalProbe`: whether the server serves now; takes 2 s at most."""
        try:
            async with asyncio.timeout(_PROBE_LIMIT_S):
                client = await self.client()
                return await client.service_client.check_health(timeout=timedelta(seconds=_PROBE_LIMIT_S))
        except (IrisError, RPCError, RuntimeError, TimeoutError):
            return False

    async def register_search_attributes(self) -> None:
        """Have every search attribute of `names` known to the namespace; workflows cannot run without.

        Raises:
            UnavailableError: Try again later.
            ConfigError: This client may not add them; the sentence has the command that does.
        """
        client = await self.client()
        listing = ListSearchAttributesRequest(namespace=self._namespace)
        try:
            known = await self.call(client.operator_service.list_search_attributes(listing, timeout=RPC_TIMEOUT))
            missing = {
                name: kind for name, kind in names.SEARCH_ATTRIBUTES.items() if name not in known.custom_attributes
            }
            if missing:
                request = AddSearchAttributesRequest(namespace=self._namespace)
                for name, kind in missing.items():
                    request.search_attributes[name] = IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
                await self.call(client.operator_service.add_search_attributes(request, timeout=RPC_TIMEOUT))
        except (ConfigError, InputError) as error:
            attributes = " ".join(f"--name {name} --type {kind}" for name, kind in names.SEARCH_ATTRIBUTES.items())
            raise ConfigError(
                f"The search attributes of Iris are not registered and cannot be from here ({error}). "
                f"Run: temporal operator search-attribute create --namespace {self._namespace} {attributes}"
            ) from None


class TemporalStarter:
    """Implements `WorkflowStarter` for the relay."""

    def __init__(self, link: TemporalLink, *, max_open_s: float, clock: Clock | None = None) -> None:
        self._link = link
        self._max_open_s = max_open_s
        self._clock = clock or SystemClock()

    async def deliver(self, message: EventMessage) -> None:
        """See `WorkflowStarter.deliver`; a completed workflow of that id counts as delivered.

        One that somebody ended from outside, or that failed, is followed by a second run: each message is complete,
        each step may be done twice, and only a completed run has seen the event through.

        Raises:
            UnavailableError, InputError, ConfigError: See `translate`.
        """
        client = await self._link.client()
        start = EventStart(message.event_id, message.camera_id, message.node_id, self._max_open_s)
        request = client.start_workflow(
            EventWorkflow.run,
            start,
            id=names.event_workflow_id(message.event_id),
            task_queue=names.QUEUE_IRIS,
            # The default would start a second run of an event whose workflow has completed.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            start_signal=names.SIGNAL_EVENT_MESSAGE,
            start_signal_args=[message],
            static_summary=f"{labels_text(message.labels)}, since {clock_text(message.started_us)}",
            rpc_timeout=RPC_TIMEOUT,
        )
        try:
            await self._link.call(request)
        except WorkflowAlreadyStartedError:
            return

    async def knows(self, event_id: str) -> bool:
        """See `WorkflowStarter.knows`.

        Raises:
            UnavailableError, ConfigError: See `translate`.
        """
        client = await self._link.client()
        handle = client.get_workflow_handle(names.event_workflow_id(event_id))
        try:
            description = await self._link.call(found(handle.describe(rpc_timeout=RPC_TIMEOUT)))
        except WorkflowUnknownError:
            return False
        if description.status == WorkflowExecutionStatus.FAILED and description.close_time is not None:
            closed_us = round(description.close_time.timestamp() * US_PER_S)
            return self._clock.wall_us() - closed_us < _FAILED_REST_US
        return description.status not in _ENDED_FROM_OUTSIDE


class WorkflowUnknownError(Exception):
    """Temporal answered, and has no such workflow."""


async def found(request: Awaitable[T]) -> T:
    """Await a request about one workflow.

    Raises:
        WorkflowUnknownError: Temporal answered, and has no such workflow.
    """
    try:
        return await request
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND and not _is_about_namespace(error):
            raise WorkflowUnknownError from None
        raise


def _is_about_namespace(error: RPCError) -> bool:
    details = [detail.type_url for detail in error.grpc_status.details]
    return any("NamespaceNotFound" in url for url in details)
