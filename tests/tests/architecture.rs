//! Owns: checking what ARCHITECTURE.md and the other documents claim about the source: which module may import which,
//! where `unsafe` may stand, that every file begins with its contract, that links lead somewhere, that the code in the
//! guide is code that runs.
//! Must not: start a sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pinfold::SandboxConfig;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `directory` with this extension, without build output and hidden directories.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
                pending.push(path);
            } else if path.extension().is_some_and(|have| have == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn report(problems: Vec<String>, advice: &str) {
    assert!(problems.is_empty(), "\n{}\n\n{advice}\n", problems.join("\n"));
}

// -- imports ----------------------------------------------------------------------------------------------------------

/// The source without comments and without test modules at its end.
fn code(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens_module = lines.peek().is_some_and(|next| next.contains("mod ") && next.ends_with('{'));
        if line == "#[cfg(test)]" && opens_module {
            break;
        }
        if line.trim_start().starts_with("//") {
            continue;
        }
        kept.push_str(line.split(" // ").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The first names of the paths in `{ a, b::c, d::{e, f} }`, whose opening brace is gone.
fn names_in_braces(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(identifier(text[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(identifier(text[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Every name that follows `crate::` in code.
fn crate_names(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let after = &code[at + found.len()..];
        // `$crate::` of a macro is the user's crate; `pub(crate)` has no colons.
        if code[..at].ends_with('$') {
            continue;
        }
        match after.strip_prefix('{') {
            Some(inner) => names.extend(names_in_braces(inner).into_iter().map(str::to_owned)),
            None => {
                names.insert(identifier(after).to_owned());
            }
        }
    }
    names
}

/// The modules of the library, and what lib.rs re-exports from each: `crate::Error` is an import of `error`.
fn modules() -> (BTreeMap<String, Vec<PathBuf>>, BTreeMap<String, String>) {
    let source = root().join("sandbox-core/src");
    let lib = code(&read(&source.join("lib.rs")));
    let mut modules = BTreeMap::new();
    let mut exports = BTreeMap::new();
    for line in lib.lines() {
        let Some(name) = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'))
        else {
            continue;
        };
        let mut own = Vec::new();
        for place in [source.join(name), root().join("sandbox-core").join(name)] {
            if place.is_dir() {
                own.extend(files(&place, "rs"));
            }
        }
        let single = source.join(format!("{name}.rs"));
        own.extend(single.is_file().then_some(single));
        assert!(!own.is_empty(), "module {name} has no file");
        modules.insert(name.to_owned(), own);
    }
    for part in lib.split("pub use ").skip(1) {
        let module = identifier(part);
        let after = part[module.len()..].trim_start_matches("::");
        let names = match after.strip_prefix('{') {
            Some(inner) => names_in_braces(inner),
            None => vec![identifier(after)],
        };
        exports.extend(names.into_iter().map(|name| (name.to_owned(), module.to_owned())));
    }
    (modules, exports)
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// Module -> what it really imports.
fn real_edges() -> BTreeMap<String, BTreeSet<String>> {
    let (modules, exports) = modules();
    let mut edges = BTreeMap::new();
    for (module, paths) in &modules {
        let mut imports = BTreeSet::new();
        for path in paths {
            let inner = path.strip_prefix(root().join("sandbox-core")).expect("a file of the library");
            if is_test(inner) {
                continue;
            }
            for name in crate_names(&code(&read(path))) {
                let target = if modules.contains_key(&name) { Some(&name) } else { exports.get(&name) };
                let target = target.unwrap_or_else(|| panic!("{}: what is crate::{name}?", path.display()));
                if target != module {
                    imports.insert(target.clone());
                }
            }
        }
        edges.insert(module.clone(), imports);
    }
    edges
}

/// The rows of the table in ARCHITECTURE.md, from the bottom up: module and what it may import, as written.
fn table() -> Vec<(String, Vec<String>)> {
    let text = read(&root().join("ARCHITECTURE.md"));
    let table = text
        .split_once("<!-- imports: begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- imports: end -->"))
        .expect("ARCHITECTURE.md has a table between <!-- imports: begin --> and <!-- imports: end -->")
        .0;
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let module = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        let imports = cells.next().unwrap_or_default().split_whitespace().filter(|word| *word != "-");
        (module, imports.map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn imports_are_those_of_the_table() {
    let real = real_edges();
    let table = table();
    let mut problems = Vec::new();
    let written: BTreeMap<&str, &Vec<String>> =
        table.iter().map(|(module, imports)| (module.as_str(), imports)).collect();
    for (module, imports) in &real {
        let Some(allowed) = written.get(module.as_str()) else {
            problems.push(format!("module {module} has no row"));
            continue;
        };
        let allowed: BTreeSet<&str> = allowed.iter().map(|name| name.trim_start_matches('^')).collect();
        let found: BTreeSet<&str> = imports.iter().map(String::as_str).collect();
        problems
            .extend(found.difference(&allowed).map(|target| format!("{module} imports {target}: not in the table")));
        problems.extend(
            allowed.difference(&found).map(|target| format!("{module} -> {target} is in the table, not in the code")),
        );
    }
    problems.extend(
        written.keys().filter(|name| !real.contains_key(**name)).map(|name| format!("there is no module {name}")),
    );
    report(
        problems,
        "the imports of sandbox-core and the table in ARCHITECTURE.md differ: change the code, or the table with a reason",
    );
}

#[test]
fn upward_imports_are_marked() {
    let table = table();
    let place: BTreeMap<&str, usize> =
        table.iter().enumerate().map(|(at, (module, _))| (module.as_str(), at)).collect();
    let mut problems = Vec::new();
    for (at, (module, imports)) in table.iter().enumerate() {
        for import in imports {
            let name = import.trim_start_matches('^');
            let upward = place.get(name).is_none_or(|target| *target > at);
            if upward != import.starts_with('^') {
                problems.push(format!(
                    "{module} -> {import}: {}",
                    if upward { "upward, needs a ^" } else { "not upward, has a ^" }
                ));
            }
        }
    }
    report(
        problems,
        "a row of the table may import only rows above it; an exception carries a ^ and is explained below the table",
    );
}

#[test]
fn every_row_of_the_map_exists() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let map = text
        .split_once("<!-- map: begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- map: end -->"))
        .expect("ARCHITECTURE.md has a map between <!-- map: begin --> and <!-- map: end -->")
        .0;
    let rows: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let missing = rows.iter().filter(|place| !root().join(place).exists()).map(|place| format!("{place}: not there"));
    report(missing.collect(), "the map in ARCHITECTURE.md names what does not exist");
    let (modules, _) = modules();
    let missing = modules.keys().filter(|module| {
        let places = [
            format!("sandbox-core/src/{module}"),
            format!("sandbox-core/src/{module}.rs"),
            format!("sandbox-core/{module}"),
        ];
        !rows.iter().any(|row| places.iter().any(|place| row.trim_end_matches('/') == place))
    });
    report(
        missing.map(|module| format!("{module}: not in the map")).collect(),
        "add a row to the map in ARCHITECTURE.md",
    );
}

// -- files ------------------------------------------------------------------------------------------------------------

#[test]
fn every_file_begins_with_its_contract() {
    let core = root().join("sandbox-core");
    let mut problems = Vec::new();
    for directory in ["src", "init", "wire"] {
        for path in files(&core.join(directory), "rs") {
            // Unit tests belong to what they test; lib.rs has the documentation of the crate.
            if path.ends_with("tests.rs") || path.ends_with("src/lib.rs") {
                continue;
            }
            if !read(&path).starts_with("//! Owns: ") {
                problems.push(path.display().to_string());
            }
        }
    }
    report(problems, "begin the file with `//! Owns: ..  Must not: ..`: what it is for and what it leaves to others");
}

/// [`pinfold_tests::Leaks`] counts the fds of the whole process: a test beside it that opens some would make it lie.
#[test]
fn tests_begin_with_the_guard_against_leftovers() {
    let mut problems = Vec::new();
    for path in files(&root().join("tests/tests"), "rs") {
        let text = read(&path);
        let tests: Vec<&str> = text.split("\n#[test]\n").skip(1).collect();
        if !text.contains("Leaks::watch()") || path.ends_with("architecture.rs") || tests.len() == 1 {
            continue;
        }
        for test in tests {
            let mut lines = test.lines().map(str::trim);
            let name = lines.by_ref().find(|line| line.starts_with("fn ")).unwrap_or_default().to_owned();
            let first = lines.find(|line| !line.starts_with("use ") && !line.starts_with("const ")).unwrap_or_default();
            // A part of a test that runs in a process of its own is alone there.
            let starts_itself_again = first.starts_with("let Ok(") && first.contains("std::env::var(");
            if !["let _leaks = Leaks::watch();", "let _alone = alone();"].contains(&first) && !starts_itself_again {
                problems.push(format!("{}: {name}", path.display()));
            }
        }
    }
    report(problems, "begin the test with `let _leaks = Leaks::watch();`");
}

#[test]
fn unsafe_stands_in_init_and_sys_only() {
    let core = root().join("sandbox-core");
    let mut problems = Vec::new();
    for directory in ["sandbox-core/src", "sandbox-core/wire", "sandbox-core/examples", "sandbox-cli/src"] {
        for path in files(&root().join(directory), "rs") {
            if path.starts_with(core.join("src/sys")) {
                continue;
            }
            for (number, line) in code(&read(&path)).lines().enumerate() {
                let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                if words.into_iter().any(|word| word == "unsafe" || word == "unsafe_code") {
                    problems.push(format!("{}: code line {}: {}", path.display(), number + 1, line.trim()));
                }
            }
        }
    }
    report(problems, "put the call into sandbox-core/src/sys with a safe signature");
}

#[test]
fn pure_stages_do_not_touch_the_system() {
    let source = root().join("sandbox-core/src");
    let pure = ["spec", "settle", "idmap", "seccomp", "plan", "fds", "landlock.rs", "outcome", "wire"];
    let system = [
        "std::fs",
        "std::net",
        "std::process::Command",
        "nix::unistd",
        "nix::sys::socket",
        "std::thread",
        "File::open",
    ];
    let mut problems = Vec::new();
    for name in pure {
        let path = source.join(name);
        let paths = match (path.is_dir(), path.is_file()) {
            (true, _) => files(&path, "rs"),
            (_, true) => vec![path],
            _ => files(&root().join("sandbox-core").join(name), "rs"),
        };
        for path in paths.into_iter().filter(|path| !is_test(path.strip_prefix(&source).unwrap_or(path))) {
            let code = code(&read(&path));
            let found = system.iter().filter(|word| code.contains(**word));
            problems.extend(found.map(|word| format!("{}: {word}", path.display())));
        }
    }
    report(
        problems,
        "parse, validate, settle and compile are functions of their arguments: pass the fact in (ARCHITECTURE.md)",
    );
}

// -- documents --------------------------------------------------------------------------------------------------------

fn documents() -> Vec<PathBuf> {
    files(&root(), "md")
}

/// The text outside of fenced blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for path in documents() {
        let text = prose(&read(&path));
        for part in text.split("](").skip(1) {
            let link = part.split([')', ' ', '\n']).next().unwrap_or_default();
            if link.is_empty() || ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
                continue;
            }
            let (file, fragment) = link.split_once('#').map_or((link, None), |(file, fragment)| (file, Some(fragment)));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap_or(&path).join(file) };
            if !target.exists() {
                problems.push(format!("{}: {link}: not there", path.display()));
            } else if let Some(fragment) = fragment
                && target.extension().is_some_and(|extension| extension == "md")
            {
                let there = prose(&read(&target));
                let headings = there
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .map(|line| anchor(line.trim_start_matches('#')));
                if !headings.into_iter().any(|heading| heading == fragment) {
                    problems.push(format!("{}: {link}: there is no such heading", path.display()));
                }
            }
        }
    }
    report(problems, "links between documents are relative to the file they stand in");
}

#[test]
fn the_documents_are_there() {
    let all = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "docs/user-guide.md",
        "docs/threat-model.md",
        "docs/kernel-features.md",
        "docs/semver.md",
    ];
    let missing = all.iter().filter(|name| !root().join(name).is_file());
    report(missing.map(|name| (*name).to_owned()).collect(), "these files are part of every release");
    assert!(read(&root().join("CHANGELOG.md")).contains("## [Unreleased]"));
}

/// The fenced blocks of a language, each with the line before it.
fn blocks(text: &str, language: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut before = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if info.trim() == language {
                blocks.push((before.clone(), block.join("\n")));
            }
        }
        before = line.to_owned();
    }
    blocks
}

fn dedent(text: &str) -> String {
    let margin = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    text.lines().map(|line| line.get(margin..).unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// `<!-- example: FILE/REGION -->` before a Rust block: it is that region of `sandbox-core/examples/FILE.rs`.
#[test]
fn rust_blocks_are_parts_of_examples() {
    let mut problems = Vec::new();
    for path in documents() {
        let text = read(&path);
        for (marker, block) in blocks(&text, "rust") {
            let place =
                format!("{}: the block that begins {:?}", path.display(), block.lines().next().unwrap_or_default());
            let named = marker
                .strip_prefix("<!-- example: ")
                .and_then(|rest| rest.strip_suffix(" -->"))
                .and_then(|rest| rest.split_once('/'));
            let Some((file, region)) = named else {
                problems.push(format!("{place} has no <!-- example: FILE/REGION --> above it"));
                continue;
            };
            let example = root().join(format!("sandbox-core/examples/{file}.rs"));
            if !example.is_file() {
                problems.push(format!("{place}: there is no example {file}"));
                continue;
            }
            let source = read(&example);
            let begin = format!("// guide: begin {region}\n");
            let end = format!("// guide: end {region}\n");
            let part = source.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(part, _)| part);
            let Some(part) = part else {
                problems.push(format!("{place}: example {file} has no region {region}"));
                continue;
            };
            // The last line of `part` is the indentation of the end marker.
            let part = part.rsplit_once('\n').map_or(part, |(part, _)| part);
            if dedent(part).trim_end() != block.trim_end() {
                problems.push(format!("{place} differs from {file}/{region}, which is:\n{}", dedent(part)));
            }
        }
    }
    report(problems, "code in documents is a part of an example that is run; copy it from there");
}

#[test]
fn toml_blocks_are_configs() {
    let mut problems = Vec::new();
    for path in documents() {
        // Of a Cargo.toml, say so above the block.
        for (before, block) in blocks(&read(&path), "toml") {
            if before.contains("Cargo.toml") {
                continue;
            }
            if let Err(error) = SandboxConfig::from_toml(&block) {
                problems.push(format!("{}: {error}\nin:\n{block}", path.display()));
            }
        }
    }
    report(problems, "TOML in documents is a config that parses");
}

#[test]
fn the_readme_names_the_commands_that_ci_runs() {
    let readme = read(&root().join("README.md"));
    assert!(readme.contains("./scripts/test"), "the README says how to run the tests");
    assert!(root().join("scripts/test").is_file(), "the test command of the README exists");
    assert!(read(&root().join(".ci/run")).contains("./scripts/test"), ".ci/run runs the README's test command");
}

#[test]
fn claims_of_the_threat_model_name_what_shows_them() {
    let text = read(&root().join("docs/threat-model.md"));
    let claims = text
        .split_once("<!-- claims: begin -->")
        .and_then(|(_, rest)| rest.split_once("<!-- claims: end -->"))
        .expect("the threat model has claims between <!-- claims: begin --> and <!-- claims: end -->")
        .0;
    let sources: String = files(&root(), "rs").iter().map(|path| read(path)).collect();
    let examples = root().join("sandbox-core/examples");
    let mut problems = Vec::new();
    for row in claims.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")).skip(1) {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        if !shown_by.contains('`') && !shown_by.contains("not shown yet") {
            problems.push(format!("nothing shows, and nothing says so: {row}"));
        }
        for name in shown_by.split('`').skip(1).step_by(2) {
            let places = [
                root().join(name),
                examples.join(format!("{name}.rs")),
                examples.join("data/grading/submissions").join(name),
            ];
            if !places.iter().any(|place| place.exists()) && !sources.contains(&format!("fn {name}(")) {
                problems.push(format!("{name}: neither a test, nor an example, nor a file"));
            }
        }
    }
    report(problems, "the last column of the claims in docs/threat-model.md names what shows each");
}
