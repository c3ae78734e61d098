"""The embedded server for real: ports, restarts, an unfinished first start, an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from iris.adapters.clock import SystemClock
from tests.temporal_env import connect, free_ports, temporal_binary
from workers.temporal_server import TemporalServer

pytestmark = pytest.mark.e2e


def make_server(data_dir: Path, port: int | None = None) -> TemporalServer:
    ports = free_ports(2)
    return TemporalServer(
        temporal_binary, data_dir, SystemClock(), ports=(port if port is not None else ports[0], ports[1])
    )


async def test_server_keeps_workflows_and_ports_when_killed_and_restarted(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    address, first_pid = server.address, server.pid
    assert first_pid is not None
    watch = asyncio.create_task(server.keep_running())
    try:
        client = await connect(address)
        await client.start_workflow("Event", id="event:kept", task_queue="nobody")
        os.kill(first_pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while True:
                try:
                    description = await client.get_workflow_handle("event:kept").describe()
                except Exception:  # noqa: BLE001 - whatever the client says while the server is away
                    await asyncio.sleep(0.05)
                else:
                    break
        assert description.id == "event:kept"
        assert server.address == address
        assert server.pid not in (None, first_pid)
    finally:
        await server.stop()
        await watch
    assert server.pid is None


async def test_server_registers_attributes_and_a_week_of_retention_when_fresh(tmp_path: Path) -> None:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

    server = make_server(tmp_path)
    await server.start()
    try:
        client = await connect(server.address)
        attributes = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace="default")
        )
        assert {"IrisCameraId", "IrisNodeId", "IrisKind", "IrisState", "IrisEventStart"} <= set(
            attributes.custom_attributes
        )
        namespace = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
        assert namespace.config.workflow_execution_retention_ttl.seconds == 7 * 86400
    finally:
        await server.stop()


async def test_server_starts_afresh_when_the_first_start_was_killed_half_way(tmp_path: Path) -> None:
    folder = tmp_path / "temporal"
    folder.mkdir()
    (folder / "iris.db").write_bytes(b"")  # made, but its schema was never written
    server = make_server(tmp_path)
    await server.start()
    await server.stop()
    assert len(list(folder.glob("iris.db.unfinished-*"))) == 1
    assert (folder / "iris.db").stat().st_size > 0


async def test_server_starts_anew_when_its_file_was_removed_and_the_next_first_start_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "temporal"
    server = make_server(tmp_path)
    await server.start()
    await server.stop()
    for file in folder.glob("iris.db*"):
        if not file.name.endswith(".healthy"):
            file.unlink()
    killed = make_server(tmp_path)
    await killed.stop(patience_s=0)
    await killed.start()  # ended as soon as it is there
    (folder / "iris.db").write_bytes(b"")  # what such a start may leave: a file without a schema
    again = make_server(tmp_path)
    await again.start()
    try:
        assert await (await connect(again.address)).service_client.check_health()
    finally:
        await again.stop()


async def test_server_takes_the_next_free_port_when_the_wanted_one_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        server = make_server(tmp_path, port=wanted)
        server.choose_ports()
        assert int(server.address.rsplit(":", 1)[1]) > wanted


async def test_server_listens_on_loopback_only_when_running(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    await server.start()
    try:
        assert server.pid is not None
        sockets = psutil.Process(server.pid).net_connections(kind="tcp")
        listening = {c.laddr.ip for c in sockets if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
    finally:
        await server.stop()


_PARENT = """
import asyncio, sys
from pathlib import Path
from iris.adapters.clock import SystemClock
from workers.temporal_server import TemporalServer

async def main():
    ports = [int(text) for text in sys.argv[3:]]
    binary, folder = Path(sys.argv[1]), Path(sys.argv[2])
    server = TemporalServer(lambda: binary, folder, SystemClock(), ports=(ports[0], ports[1]))
    await server.start()
    print('pid', server.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_server_dies_with_its_parent_when_that_is_killed(tmp_path: Path) -> None:
    ports = [str(port) for port in free_ports(2)]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(temporal_binary()), str(tmp_path), *ports],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith("pid "))
    server = psutil.Process(pid)
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    try:
        server.wait(10)
    finally:
        if server.is_running():
            server.kill()
