"""An Elasticsearch that has a native realm.

The minimal distribution lacks the analysis module, of which the realm's own index names a tokenizer and filters for
searching people by their mail. A plugin with parts of those names, which do next to nothing, is enough.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.servers.elasticsearch import VERSION, distribution, find_java
from tests.servers.missing import ServerMissingError

_FILTER: Final = """
package org.modelward.tests;

import org.apache.lucene.analysis.TokenStream;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.TokenFilterFactory;

@NamedComponent("{name}")
public class {type} implements TokenFilterFactory {{
    @Override
    public TokenStream create(TokenStream tokens) {{
        return tokens;
    }}
}}
"""
_TOKENIZER: Final = """
package org.modelward.tests;

import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.standard.StandardTokenizer;
import org.elasticsearch.plugin.NamedComponent;
import org.elasticsearch.plugin.analysis.TokenizerFactory;

@NamedComponent("{name}")
public class {type} implements TokenizerFactory {{
    @Override
    public Tokenizer create() {{
        return new StandardTokenizer();
    }}
}}
"""
_PARTS: Final = (
    ("TokenFilterFactory", "pattern_capture", "PatternCapture", _FILTER),
    ("TokenFilterFactory", "unique", "Unique", _FILTER),
    ("TokenizerFactory", "uax_url_email", "UrlEmail", _TOKENIZER),
)
"""Kind, name for Elasticsearch, class, source."""

_NAME: Final = "modelward-tests"
_DESCRIPTOR: Final = f"""\
name={_NAME}
description=Names that the index of the native realm needs
version=1
elasticsearch.version={VERSION}
java.version=17
"""


def home() -> Path:
    """A copy of the distribution with the plugin; ServerMissingError without a Java compiler."""
    original = distribution()
    made = original.with_name(f"{original.name}-native-realm")
    if made.is_dir():
        return made
    compiler = find_java() / "bin" / "javac"
    if not compiler.is_file():
        raise ServerMissingError("A Java compiler", f"no {compiler}")
    aside = Path(tempfile.mkdtemp(prefix=".native-", dir=original.parent))
    copy = aside / made.name
    # Links, since nothing in it is ever written.
    shutil.copytree(original, copy, copy_function=os.link)
    _build(copy / "plugins" / _NAME, original / "lib", compiler)
    # Another test process may have been quicker.
    with suppress(OSError):
        copy.rename(made)
    shutil.rmtree(aside, ignore_errors=True)
    return made


def _build(folder: Path, libraries: Path, compiler: Path) -> None:
    classes = folder / "classes"
    classes.mkdir(parents=True)
    sources = []
    components: dict[str, dict[str, str]] = {}
    for kind, name, its_class, source in _PARTS:
        sources.append(classes / f"{its_class}.java")
        sources[-1].write_text(source.format(name=name, type=its_class))
        of_kind = components.setdefault(f"org.elasticsearch.plugin.analysis.{kind}", {})
        of_kind[name] = f"org.modelward.tests.{its_class}"
    command: list[str | Path] = [compiler, "--release", "21", "-cp", f"{libraries}/*", "-d", classes, *sources]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(folder / f"{_NAME}.jar", "w") as archive:
        for path in classes.rglob("*.class"):
            archive.write(path, path.relative_to(classes))
    shutil.rmtree(classes)
    (folder / "stable-plugin-descriptor.properties").write_text(_DESCRIPTOR)
    (folder / "named_components.json").write_text(json.dumps(components))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
