"""Builds the services of the api from the settings: the only place that knows both its ports and their adapters."""

from __future__ import annotations

import ipaddress
import os

from iris.adapters.clock import SystemClock
from iris.adapters.gpu import NvidiaSmi
from iris.adapters.id_source import Uuid7Source
from iris.adapters.node_link import UnixNodeLink
from iris.adapters.operation_starter import TemporalOperationStarter
from iris.adapters.temporal import TemporalLink
from iris.adapters.vault import open_vault, read_api_key
from iris.base.errors import ConfigError
from iris.base.log import get_logger
from iris.config import Settings
from iris.pipeline.backup.office import list_backups
from iris.store.engine import open_store
from web.api.auth import Access
from web.api.metrics import ApiMetrics
from web.api.services import CameraDefaults, Services
from web.api.vitals import Vitals
from workers.version import VERSION


def build_services(settings: Settings) -> Services:
    """Open what the api works with; the database need not answer yet.

    Raises:
        ConfigError: The settings do not go together, or a key file is damaged.
        StorageError: A key cannot be read or made.
    """
    data_dir = settings.data_path
    access = access_of(settings)
    store = open_store(settings.main_database_url)
    clock = SystemClock()
    node = UnixNodeLink(data_dir / "run" / "node.sock")
    temporal = TemporalLink(
        settings.temporal_address or f"127.0.0.1:{settings.temporal_port}",
        identity="iris-api", namespace=settings.temporal_namespace, environment=os.environ,
    )  # fmt: skip
    vitals = Vitals(store, node, temporal, NvidiaSmi(), clock)
    return Services(
        store=store,
        node=node,
        dead_letters=node,
        backups=lambda: list_backups(settings.backup_path),
        operations=TemporalOperationStarter(temporal),
        vault=open_vault(data_dir),
        clock=clock,
        ids=Uuid7Source(),
        access=access,
        vitals=vitals,
        metrics=ApiMetrics(vitals, clock, data_dir),
        data_dir=data_dir,
        version=VERSION,
        retention=settings.retention_policy(),
        manual_max_seconds=settings.manual_max_seconds,
        defaults=CameraDefaults(
            detect_fps=settings.detect_fps,
            pre_seconds=settings.pre_seconds,
            post_seconds=settings.post_seconds,
            trigger_cooldown=settings.trigger_cooldown,
            # As the check of the settings has it: the pre-roll is cut from what the buffer still holds.
            most_pre_seconds=settings.segment_retention_seconds - 3 * settings.segment_seconds,
        ),
    )


def access_of(settings: Settings) -> Access:
    """Who may use the api.

    Raises:
        ConfigError: The api would be open to other machines.
    """
    if not settings.auth_required and not ipaddress.ip_address(settings.bind_address).is_loopback:
        raise ConfigError(
            "AUTH_REQUIRED=false needs BIND_ADDRESS to be a loopback address such as 127.0.0.1; "
            f"it is {settings.bind_address}"
        )
    key = settings.api_key.get_secret_value() if settings.api_key is not None else read_api_key(settings.data_path)
    if key is None and settings.auth_required:
        get_logger().warning("there is no API_KEY, so the api refuses everybody; `iris up` makes one")
    return Access(None if key is None else key.encode(), settings.auth_required)
