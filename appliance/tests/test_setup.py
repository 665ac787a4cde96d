"""The setup makes what is missing and hands it out; again changes nothing; killed anywhere, the next completes it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.tests.sites import DIRECTORY, Place, place
from modelward_appliance import files
from modelward_appliance.credentials import SECRETS
from modelward_appliance.elasticsearch_users import EnrolledError
from modelward_appliance.pki import Authority
from modelward_appliance.render import RenderError
from modelward_appliance.services import SERVICES

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing is for crashes of the machine, and slow."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """Rooms of three services, as small as can be."""
    rooms = tmp_path / "content"
    for name, text in {
        "gateway/config/nginx.conf.j2": "server_name {{ site.hosts | join(' ') }};\nkey {{ secret('gateway-key') }};\n",
        "gateway/config/html/50x.html": "{{ not a template }}",
        "appliance/config/collector/collector.yml.j2": "name: {{ site.name | yaml }}\nurls: {{ ldap.urls | yaml }}\n",
        "prometheus/config/prometheus/rules/a.yml": "groups: []\n",
    }.items():
        (rooms / name).parent.mkdir(parents=True, exist_ok=True)
        (rooms / name).write_text(text)
    return rooms


@pytest.fixture
def appliance(tmp_path: Path, content: Path) -> Place:
    return place(tmp_path / "appliance", content)


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """By relative name: content and mode of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_room_becomes_the_services_folder(appliance: Place) -> None:
    appliance.setup(**DIRECTORY)
    gateway = tree(appliance.volumes / "gateway")
    key = (appliance.state / "secrets" / "gateway-key").read_text()
    assert gateway["nginx.conf"] == (
        f"server_name modelward.example.org 10.1.2.3;\nkey {key.strip()};\n".encode(),
        0o600,
    )
    assert gateway["html/50x.html"] == (b"{{ not a template }}", 0o600)
    assert gateway["secrets/gateway-key"] == (key.encode(), 0o600)
    assert {name for name in gateway if name.startswith("tls/")} == {
        f"tls/{name}" for name in ("ca.crt", "tls.crt", "tls.key", "public.crt", "public.key", "public-ca.crt")
    }
    assert gateway["tls/tls.key"][1] == 0o600
    assert "rules/a.yml" in tree(appliance.volumes / "prometheus")


def test_again_changes_nothing(appliance: Place) -> None:
    assert appliance.setup()
    before = {path: path.stat().st_mtime_ns for path in appliance.folder.rglob("*")}
    assert appliance.setup() == []
    assert {path: path.stat().st_mtime_ns for path in appliance.folder.rglob("*")} == before


def test_only_what_differs_is_written_and_said(appliance: Place) -> None:
    appliance.setup()
    digests = json.loads((appliance.state / "rendered.json").read_text())
    assert appliance.setup(MODELWARD_SITE_NAME="Other") == ["collector: collector.yml changed"]
    after = json.loads((appliance.state / "rendered.json").read_text())
    assert {name for name in after if after[name] != digests[name]} == {"collector"}


def test_what_services_read_again_by_themselves_asks_for_no_restart(appliance: Place) -> None:
    appliance.setup()
    digests = json.loads((appliance.state / "rendered.json").read_text())
    enrol(appliance, "agent_one", "{PBKDF2}1000$c2FsdA==$aGFzaA==")
    (appliance.state / "targets" / "one.yml").write_text("[]\n")
    assert set(appliance.setup()) == {
        "elasticsearch: users changed",
        "elasticsearch: users_roles changed",
        "elasticsearch-2: users changed",
        "elasticsearch-2: users_roles changed",
        "elasticsearch-3: users changed",
        "elasticsearch-3: users_roles changed",
        "prometheus: targets/one.yml added",
        "backup: state/agents/one.json added",
        "backup: state/targets/one.yml added",
    }
    assert json.loads((appliance.state / "rendered.json").read_text()) == digests


def test_what_is_no_longer_rendered_goes(appliance: Place, content: Path) -> None:
    appliance.setup()
    (content / "gateway/config/html/50x.html").unlink()
    assert appliance.setup() == ["gateway: html/50x.html removed"]
    assert not (appliance.volumes / "gateway" / "html").exists()


def test_elasticsearch_keeps_the_keystore_that_it_made(appliance: Place) -> None:
    appliance.setup()
    keystore = appliance.volumes / "elasticsearch" / "elasticsearch.keystore"
    keystore.write_text("its own")
    assert appliance.setup() == []
    assert keystore.read_text() == "its own"


def test_what_somebody_changed_by_hand_is_put_right(appliance: Place) -> None:
    appliance.setup()
    (appliance.volumes / "gateway" / "nginx.conf").write_text("mine")
    (appliance.volumes / "gateway" / "tls" / "tls.key").chmod(0o644)
    assert appliance.setup() == ["gateway: nginx.conf changed", "gateway: tls/tls.key changed"]


def test_a_link_in_a_volume_is_replaced_and_not_followed(appliance: Place, tmp_path: Path) -> None:
    appliance.setup()
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    target = appliance.volumes / "gateway" / "nginx.conf"
    target.unlink()
    target.symlink_to(outside)
    (appliance.volumes / "gateway" / ".modelward-new-nginx.conf").symlink_to(outside)
    appliance.setup()
    assert outside.read_text() == "untouched"
    assert not target.is_symlink()


@as_root
def test_each_service_owns_its_folder_and_the_state_stays_the_operators(appliance: Place) -> None:
    os.chown(appliance.state, 4711, 4712)
    appliance.setup()
    for service in SERVICES:
        volume = appliance.volumes / service.name
        for path in [volume, *volume.rglob("*")]:
            status = path.lstat()
            assert (status.st_uid, status.st_gid) == (service.user, service.group), path
    for path in [appliance.state, *appliance.state.rglob("*")]:
        assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712), path
        assert path.suffix == ".crt" or not path.stat().st_mode & 0o077, path


def test_a_service_that_is_not_mounted_is_left_out(appliance: Place) -> None:
    (appliance.volumes / "kibana").rmdir()
    changes = appliance.setup()
    assert not [line for line in changes if line.startswith("kibana:")]


def test_the_sites_own_files_go_where_they_are_needed(appliance: Place, tmp_path: Path) -> None:
    appliance.setup()
    site = appliance.state / "site"
    issued = Authority(tmp_path / "appliance").issue("site", ["modelward.example.org", "10.1.2.3"])
    (site / "tls.crt").write_bytes(issued.certificate)
    (site / "tls.key").write_bytes(issued.key)
    (site / "ldap-ca.crt").write_text("the directory's")
    (site / "models.d" / "fraud.yml").write_text("model: fraud\n")
    (appliance.state / "targets" / "agents.yml").write_text("[]\n")
    appliance.setup(**DIRECTORY)
    for name in ("gateway", "grafana"):
        volume = tree(appliance.volumes / name)
        assert volume["tls/public.crt"][0] == issued.certificate
        assert volume["tls/public.key"][0] == issued.key
        assert volume["tls/tls.crt"][0] != issued.certificate
    assert tree(appliance.volumes / "prometheus")["tls/public-ca.crt"][0] == issued.certificate
    assert tree(appliance.volumes / "prometheus")["targets/agents.yml"][0] == b"[]\n"
    collector = tree(appliance.volumes / "collector")
    assert collector["tls/ldap-ca.crt"][0] == b"the directory's"
    assert collector["models.d/fraud.yml"][0] == b"model: fraud\n"
    assert "tls/ldap-ca.crt" not in tree(appliance.volumes / "gateway")


def test_backup_alone_gets_a_copy_of_the_state(appliance: Place) -> None:
    (appliance.state / ".env").write_text("MODELWARD_HOSTS=localhost\n")
    appliance.setup()
    backup = tree(appliance.volumes / "backup")
    for name in ("secrets/backup-key", "tls/ca.key", ".env"):
        assert backup[f"state/{name}"] == ((appliance.state / name).read_bytes(), 0o600)
    authority_key = (appliance.state / "tls" / "ca.key").read_bytes()
    holders = {
        service.name
        for service in SERVICES
        if authority_key in {found for found, _mode in tree(appliance.volumes / service.name).values()}
    }
    assert holders == {"backup"}


def test_no_volume_holds_a_secret_that_is_not_its_services(appliance: Place) -> None:
    appliance.setup(**DIRECTORY)
    volumes = {service.name: tree(appliance.volumes / service.name) for service in SERVICES if service.name != "backup"}
    for name, secret in SECRETS.items():
        value = (appliance.state / "secrets" / name).read_bytes().strip()
        holding = {
            service for service, volume in volumes.items() if any(value in found for found, _mode in volume.values())
        }
        assert holding <= secret.services, name


def test_a_template_that_fails_changes_nothing(appliance: Place, content: Path) -> None:
    appliance.setup()
    before = tree(appliance.volumes)
    (content / "prometheus/config/prometheus/b.yml.j2").write_text("fine: 1\nwrong: {{ site.nmae }}\n")
    with pytest.raises(RenderError, match=r"prometheus/config/prometheus/b\.yml\.j2: .*no attribute 'nmae'"):
        appliance.setup(MODELWARD_SITE_NAME="Other")
    assert tree(appliance.volumes) == before


def test_a_template_may_not_take_anothers_secret(appliance: Place, content: Path) -> None:
    (content / "gateway/config/x.j2").write_text("{{ secret('backup-key') }}")
    with pytest.raises(RenderError, match='gateway is handed no secret "backup-key"'):
        appliance.setup()


def test_what_an_operator_types_cannot_break_out_of_its_place(appliance: Place) -> None:
    name = 'a: b # "c" {{ x }} ü'
    appliance.setup(MODELWARD_SITE_NAME=name)
    written = yaml.safe_load((appliance.volumes / "collector" / "collector.yml").read_text())
    assert written["name"] == name


def enrol(appliance: Place, user: str, password_hash: str) -> None:
    folder = appliance.state / "agents"
    folder.mkdir(exist_ok=True)
    (folder / "one.json").write_text(json.dumps({"host": "one", "user": user, "password_hash": password_hash}))


def test_an_enrolled_agent_becomes_a_user(appliance: Place) -> None:
    password_hash = "{PBKDF2}1000$c2FsdA==$aGFzaA=="
    enrol(appliance, "agent_one", password_hash)
    appliance.setup()
    realm = tree(appliance.volumes / "elasticsearch")
    assert f"agent_one:{password_hash}\n".encode() in realm["users"][0]
    assert b"modelward_agent:modelward_agent,agent_one\n" in realm["users_roles"][0]
    (appliance.state / "agents" / "one.json").unlink()
    changes = appliance.setup()
    assert {"elasticsearch: users changed", "elasticsearch: users_roles changed"} <= set(changes)


@pytest.mark.parametrize(
    ("user", "password_hash"),
    [
        ("elastic", "{PBKDF2}1000$c2FsdA==$aGFzaA=="),
        ("agent_x\nroot:hash", "{PBKDF2}1000$c2FsdA==$aGFzaA=="),
        ("agent_x", "{plain}\nroot:{PBKDF2}1$a$b"),
        ("agent_x", 5),
    ],
)
def test_an_enrolment_that_would_smuggle_is_refused(appliance: Place, user: str, password_hash: Any) -> None:
    enrol(appliance, user, password_hash)
    with pytest.raises(EnrolledError, match="malformed"):
        appliance.setup()


# -- killed --------------------------------------------------------------------------------------------------------


class KilledError(BaseException):
    """Stands for the end of the process: from then on it does nothing any more."""


@contextmanager
def killed_at(step: int | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """End the process just before its `step`th change of a file system (None: never); gives how many there were."""
    count = 0

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if step is not None and count >= step:
                raise KilledError
            count += 1
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in ("rename", "unlink", "mkdir", "rmdir", "chmod"):
            patched.setattr(Path, name, watched(getattr(Path, name)))
        patched.setattr(os, "fchmod", watched(os.fchmod))
        yield lambda: count


def test_killed_at_any_step_the_next_run_completes_it(
    tmp_path: Path, content: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = ("gateway", "elasticsearch", "collector")

    def fresh(name: str) -> Place:
        made = place(tmp_path / name, content)
        for service in SERVICES:
            if service.name not in mounted:
                (made.volumes / service.name).rmdir()
        return made

    whole = fresh("whole")
    with killed_at(None, monkeypatch) as steps:
        whole.setup()
    total = steps()
    assert total > 200
    # Every step of the authority and the first secrets, whose order matters; then every seventh, for the time it takes.
    for step in [*range(30), *range(30, total, 7)]:
        appliance = fresh(f"killed-{step}")
        with killed_at(step, monkeypatch), pytest.raises(KilledError):
            appliance.setup()
        kept = {path.name: path.read_bytes() for path in (appliance.state / "secrets").glob("*") if path.suffix == ""}
        kept = {name: value for name, value in kept.items() if not name.startswith(files.ASIDE)}
        appliance.setup()
        assert appliance.setup() == []
        assert not list(appliance.folder.rglob(f"{files.ASIDE}*"))
        for name, value in kept.items():
            assert (appliance.state / "secrets" / name).read_bytes() == value, f"step {step}: {name} was made twice"
        for name in mounted:
            assert set(tree(appliance.volumes / name)) == set(tree(whole.volumes / name))


def test_what_a_killed_change_of_the_authority_left_is_removed(appliance: Place) -> None:
    appliance.setup()
    left = appliance.state / "tls" / f"{files.ASIDE}used"
    left.mkdir()
    (left / "ca.key").write_text("old")
    assert appliance.setup() == []
    assert not left.exists()
