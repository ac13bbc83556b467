//! The manual pages are complete and true where a machine can tell: every declared function has a page whose synopsis the
//! compiler accepts beside the header, every example compiles, and the formatter has nothing to complain of.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use spread::config::{Change, Live, Process, Settings};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The sections that have pages of ours.
const SECTIONS: [&str; 4] = ["1", "3", "5", "8"];

/// A manual page.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The lines of a section, without its title.
    fn section(&self, title: &str) -> Vec<&str> {
        let lines = self.text.lines().skip_while(|line| line.strip_prefix(".Sh ") != Some(title)).skip(1);
        let section: Vec<_> = lines.take_while(|line| !line.starts_with(".Sh ")).collect();
        assert!(!section.is_empty(), "{} lacks {title}", self.name());
        section
    }

    /// What the page describes.
    fn subjects(&self) -> Vec<String> {
        let names = self.section("NAME").into_iter().filter_map(|line| line.strip_prefix(".Nm "));
        names.map(|name| name.trim_end_matches([' ', ',']).to_owned()).collect()
    }

    /// The literal blocks of the examples, as they are printed.
    fn examples(&self) -> Vec<String> {
        let text = self.section("EXAMPLES").join("\n") + "\n";
        let blocks = text.split(".Bd -literal -offset indent\n").skip(1);
        blocks.map(|block| block.split_once(".Ed\n").unwrap().0.replace("\\e", "\\").replace("\\&", "")).collect()
    }

    /// The synopsis as a piece of C.
    fn declarations(&self) -> String {
        let mut c = String::new();
        let mut parameters: Vec<String> = Vec::new();
        for line in self.section("SYNOPSIS") {
            let (request, words) = line.split_once(' ').unwrap_or((line, ""));
            match request {
                ".In" => c += &format!("#include <{words}>\n"),
                ".Ft" => c += &format!("{words} "),
                ".Fo" => c += words,
                ".Fa" => parameters.push(words.trim_matches('"').to_owned()),
                ".Fc" => c += &format!("({});\n", std::mem::take(&mut parameters).join(", ")),
                ".Fn" => {
                    let (name, words) = words.split_once(' ').unwrap();
                    c += &format!("{name}({});\n", words.trim_matches('"').replace("\" \"", ", "));
                }
                _ => panic!("{}: {line}", self.name()),
            }
        }
        c
    }
}

/// The pages of a section.
fn pages(section: &str) -> Vec<Page> {
    let entries = fs::read_dir(Path::new(ROOT).join("docs/man")).unwrap().map(|entry| entry.unwrap().path());
    let paths = entries.filter(|path| path.extension().is_some_and(|extension| extension == section));
    paths.map(|path| Page { text: fs::read_to_string(&path).unwrap(), path }).collect()
}

/// The functions that the headers declare: what stands before a `(` at the beginning of a declaration.
fn declared_functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for header in fs::read_dir(Path::new(ROOT).join("include")).unwrap() {
        let header = fs::read_to_string(header.unwrap().path()).unwrap();
        let declarations = header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}']));
        let names = declarations.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
        functions.extend(names.map(str::to_owned));
    }
    functions
}

fn compile(name: &str, source: &str, strictness: &[&str]) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manual");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join(name).with_added_extension("c");
    fs::write(&file, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c89", "-pedantic", "-D_POSIX_C_SOURCE=200809L", "-Werror"]).args(strictness);
    compiler.arg("-I").arg(Path::new(ROOT).join("include")).arg("-c").arg(&file).arg("-o");
    let output = compiler.arg(file.with_extension("o")).output().unwrap();
    assert!(output.status.success(), "{name}: {}\n{source}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_function_has_one_page_and_every_page_only_functions() {
    let declared = declared_functions();
    assert!(declared.len() >= 25, "{declared:?}");
    let subjects: Vec<_> = pages("3").iter().flat_map(Page::subjects).collect();
    assert_eq!(subjects.iter().cloned().collect::<BTreeSet<_>>(), declared);
    assert_eq!(subjects.len(), declared.len(), "no function has two pages");
}

#[test]
fn every_synopsis_says_what_the_header_says() {
    for page in pages("3") {
        let declarations = page.declarations();
        for subject in page.subjects() {
            assert!(declarations.contains(&format!("{subject}(")), "{} shows {subject}", page.name());
        }
        compile(&format!("{}-synopsis", page.name()), &declarations, &[]);
    }
}

#[test]
fn every_example_compiles_without_a_warning() {
    for page in pages("3") {
        let examples = page.examples();
        assert!(!examples.is_empty(), "{} has an example", page.name());
        for (n, example) in examples.iter().enumerate() {
            compile(&format!("{}-{n}", page.name()), example, &["-Wall", "-Wextra"]);
        }
    }
}

#[test]
fn every_page_about_functions_says_what_they_return() {
    for page in pages("3") {
        page.section("RETURN VALUES");
    }
}

/// The text of the entry of a keyword, if the page has one: the words after its item, up to the next one.
fn entry<'a>(page: &'a Page, keyword: &str) -> Option<Vec<&'a str>> {
    let begins = |line: &str, request: &str| {
        line.strip_prefix(request).is_some_and(|words| words.split(' ').next() == Some(keyword))
    };
    // What has no effect is only listed.
    let requests = [".It Ic ", ".D1 Ic ", ".Ic "];
    let request = requests.into_iter().find(|request| page.text.lines().any(|line| begins(line, request)))?;
    let lines = page.text.lines().skip_while(|line| !begins(line, request)).skip(1);
    // Items without a text of their own share that of the last one of them.
    let lines = lines.skip_while(|line| line.starts_with(".It "));
    Some(lines.take_while(|line| !line.starts_with(".It ") && !line.starts_with(".El")).collect())
}

#[test]
fn every_keyword_has_an_entry_that_says_its_default() {
    let pages = pages("5");
    let page = pages.iter().find(|page| page.name() == "spread.conf.5").unwrap();
    let defaults = Settings { live: Live::default(), process: Process::default(), ..Settings::localhost() };
    for keyword in spread::config::keywords() {
        let entry = entry(page, keyword.name).unwrap_or_else(|| panic!("{} has no entry", keyword.name));
        let Some(default) = keyword.value(&defaults).filter(|_| keyword.change != Change::Never) else { continue };
        let words: Vec<&str> = entry.iter().flat_map(|line| line.split([' ', ',', ';', '.', '(', ')'])).collect();
        let default = default.trim_matches('"').trim_start_matches("/var/run/");
        assert!(
            words.iter().any(|word| word.ends_with(default)),
            "{} does not say its default {default}",
            keyword.name
        );
    }
}

#[test]
fn every_configuration_of_the_manual_is_read_without_a_warning() {
    for page in pages("5") {
        for example in page.examples() {
            let settings = Settings::parse(&page.name(), example.as_bytes()).unwrap();
            assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        }
    }
}

/// The options that a line of a program's help describes, without their first dash.
fn options(line: &str) -> Vec<&str> {
    let words = line.trim_start().split([' ', ',', '<']).take_while(|word| !word.contains('>'));
    let begins_with_option = line.trim_start().starts_with('-');
    words.filter_map(|word| word.strip_prefix('-')).filter(|_| begins_with_option).collect()
}

#[test]
fn every_program_has_a_page_with_exactly_the_options_of_its_help() {
    let sources = fs::read_dir(Path::new(ROOT).join("src/bin")).unwrap().map(|entry| entry.unwrap().path());
    let programs: Vec<_> = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    assert!(programs.len() >= 5, "{programs:?}");
    for name in programs.iter().map(|source| source.file_stem().unwrap().to_str().unwrap()) {
        let program = Path::new(env!("CARGO_BIN_EXE_spread")).with_file_name(name);
        let help = String::from_utf8(Command::new(program).arg("--help").output().unwrap().stdout).unwrap();
        let page = ["1", "8"].into_iter().flat_map(pages).find(|page| page.subjects().iter().any(|it| it == name));
        let page = page.unwrap_or_else(|| panic!("{name} has no page"));
        let items = page.text.lines().filter_map(|line| line.strip_prefix(".It Fl "));
        let words = items.flat_map(|item| item.split(' ').take_while(|word| *word != "Ar"));
        let described: BTreeSet<_> = words.filter(|word| ![",", "Fl"].contains(word)).collect();
        for option in help.lines().flat_map(options) {
            assert!(described.contains(option), "{}: -{option}", page.name());
        }
        let said: Vec<_> = help.split([' ', ',', ';', '\n']).filter_map(|word| word.strip_prefix('-')).collect();
        assert!(described.iter().all(|option| said.contains(option)), "{name} has not all of {described:?}");
    }
}

#[test]
fn the_formatter_has_no_complaint() {
    for page in SECTIONS.into_iter().flat_map(pages) {
        let Ok(output) = Command::new("groff").args(["-mdoc", "-ww", "-Tutf8"]).arg(&page.path).output() else {
            println!("groff is not installed: the pages are not formatted");
            return;
        };
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", page.name());
    }
}

#[test]
fn references_between_pages_lead_somewhere() {
    let pages: Vec<_> = SECTIONS.into_iter().flat_map(pages).collect();
    let known = pages.iter().flat_map(|page| {
        let section = page.path.extension().unwrap().to_string_lossy().into_owned();
        page.subjects().into_iter().map(move |subject| format!("{subject} {section}"))
    });
    let known: BTreeSet<_> = known.collect();
    let foreign = ["execve 2", "fork 2", "poll 2", "select 2", "strftime 3", "crypt 3"];
    for page in &pages {
        for reference in page.text.lines().filter_map(|line| line.strip_prefix(".Xr ")) {
            let reference = reference.split(' ').take(2).collect::<Vec<_>>().join(" ");
            assert!(foreign.contains(&&*reference) || known.contains(&reference), "{}: {reference}", page.name());
        }
    }
}
