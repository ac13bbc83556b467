//! Shapes of configuration files that people run, from small test beds to files written for 5.x: each is accepted, with a warning
//! where something has no meaning here, or refused with its place and what to write instead.

use std::fs;
use std::path::Path;

use spread::config::{Settings, keywords};
use spread::daemon::files;

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Read without a word.
    Silent,
    /// Read with a warning that has these words.
    Warned(&'static str),
    /// Refused with these words.
    Refused(&'static str),
}

use Verdict::{Refused, Silent, Warned};

/// A shape, and what becomes of it.
const SHAPES: &[(&str, Verdict)] = &[
    ("Spread_Segment 127.0.0.255:4803 {\n  localhost 127.0.0.1\n}", Silent),
    ("Spread_Segment 127.0.0.255:4803 {\n  one 127.0.0.1\n  two 127.0.0.2\n}", Silent),
    ("Spread_Segment 127.0.0.255:4803 { box 172.20.0.9 }", Silent),
    ("Spread_Segment 10.3.7.255:4804 {\n a 10.3.0.9\n b 10.3.2.8\n c 10.3.7.7\n}", Silent),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 { D 10.3.0.9\n C 127.0.0.1 } }\nDangerousMonitor = no", Silent),
    (
        "Spread_Segment 10.3.7.255 { a 10.3.0.9 } DangerousMonitor = yes",
        Warned("lets everybody who can send datagrams"),
    ),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 } KeyFile = k DangerousMonitor = yes", Warned("no effect with KeyFile")),
    (
        "Spread_Segment unicast unicast { a 10.3.0.9 10.4.0.9 b 10.3.0.8 10.4.0.8 c 10.4.0.7 10.3.0.7 }",
        Warned("the addresses of c on networks 0 and 1 look swapped"),
    ),
    (
        "Spread_Segment unicast unicast { a 10.3.0.9 10.4.0.9 b 10.4.0.8 10.3.0.8 }",
        Warned("the addresses of b on networks 0 and 1 look swapped"),
    ),
    (
        "Spread_Segment unicast unicast { a 10.3.0.9 10.4.0.9 } Spread_Segment unicast unicast { b 10.5.0.8 10.3.0.8 }",
        Silent,
    ),
    ("Spread_Segment 10.3.7.255:4803{a 10.3.0.9{D 10.3.0.9 C 127.0.0.1}b 10.3.0.8}#end", Silent),
    ("Spread_Segment 10.3.7.255:65535 { a 10.3.0.9 }", Silent),
    ("Spread_Segment 10.3.7.255:0 { a 10.3.0.9 }", Warned("port 0 counts as 4803")),
    ("Spread_Segment 10.3.7.255:65536 { a 10.3.0.9 }", Refused("f:1:16: port 65536 cannot be")),
    ("Spread_Segment 10.3.7.255 { }\nSpread_Segment 10.4.7.255 { a 10.4.0.9 }", Silent),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 { D 10.5.0.9 C 10.3.0.9 } }", Silent),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 { 10.5.0.9\n10.3.0.9 } }", Warned("uses 10.3.0.9 only")),
    (
        "Spread_Segment 10.3.7.255 { a 10.3.0.9:4803 b 10.3.0.8 { D 10.3.0.8 C 10.3.0.8:99 } }",
        Warned("port 99 is ignored"),
    ),
    ("Spread_Segment 0.0.0.0:4803 { a 10.3.0.9 }", Warned("0.0.0.0 is no network and counts as unicast")),
    (
        "Spread_Segment 239.9.9.9 {\n mailer-one.internal.example 10.3.0.9\n}",
        Warned("is cut to 19 bytes, mailer-one.internal:"),
    ),
    ("Spread_Segment [ff02::1:2:3%eth1]:5000\n{\n a fe80::1%eth2\n b fe80::2%eth1\n}", Silent),
    ("Spread_Segment ff02::1:2:3 { a fe80::7 }", Refused("write its interface too, as in fe80::1%eth0")),
    (
        "Spread_Segment 239.9.9.9 {\n a 10.3.0.9\n 10.3.0.8\n 10.3.0.7 ;\n b 10.3.0.6; c 10.3.0.5\n}",
        Warned("is called 10.3.0.8"),
    ),
    ("Spread_Segment 10.3.7.255 {\n10.3.0.9\n10.3.0.8\n}", Warned("this daemon has no name and is called 10.3.0.9")),
    ("Spread_Segment 239.9.9.9 { a 10.3.0.9 VirtualID = 5\n b 10.3.0.8 }", Warned("VirtualID has no effect")),
    ("Spread_Segment 239.9.9.9 { a 10.3.0.9 { D 10.3.0.9 C 0.0.0.0 } }", Silent),
    ("WideAreaNetwork = false Spread_Segment 239.9.9.9 { a 10.3.0.9 }", Warned("WideAreaNetwork has no effect")),
    ("ActiveIPVersion = IPv4 Spread_Segment 239.9.9.9 { a 10.3.0.9 }", Warned("ActiveIPVersion has no effect")),
    ("IgnoreMulticastJoinErrors = true Spread_Segment 239.9.9.9 { a 10.3.0.9 }", Warned("JoinErrors has no effect")),
    ("ExcludeSegAddrsFromHash = no Spread_Segment 239.9.9.9 { a 10.3.0.9 }", Warned("AddrsFromHash has no effect")),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nSocketPortReuse = auto", Warned("SocketPortReuse has no effect")),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nDebugFlags = { ALL !NETWORK }", Silent),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nRouteMatrix {\n 0 \n}\nDebugInitialSequence", Warned("RouteMatrix")),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nMaxSessionMessages = 0", Warned("MaxSessionMessages = 0")),
    ("Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nRequiredAuthMethods = IP", Warned("no method is allowed")),
    (
        "Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nEventLogFile = 'C:\\a b %h.log' EventTimeStamp = \"%E%Q [%d]\"",
        Silent,
    ),
    (
        "Spread_Segment 10.3.7.255 { a 10.3.0.9 }\nWindow=160",
        Refused("f:2:1: \"Window=160\": = needs a blank on both sides"),
    ),
    (
        "Spread_Segment 10.3.7.255 {\n a 10.3.0.9\n b 10.3.0.9 }",
        Refused("f:3:4: 10.3.0.9 already identifies the daemon in line 2"),
    ),
    (
        "spread_segment 10.3.7.255 { a 10.3.0.9 }",
        Refused("f:1:1: \"spread_segment\" is no keyword: did you mean Spread_Segment?"),
    ),
    (
        "Spread_Segment 10.3.7.255 {\n a 10.3.0.9,\n b 10.3.0.8 }",
        Refused("f:2:4: \"10.3.0.9,\": blanks and ends of lines"),
    ),
    (
        "Spread_Segment 10.3.7.255 {\n no-such-host-a\n no-such-host-b }",
        Refused("f:2:2: the daemon \"no-such-host-a\" has no address"),
    ),
    ("Spread_Segment 127.0.0.255 { l 127.0.0.1 }\nSpread_Segment 10.3.7.255 { a 10.3.0.9 }", Refused("cannot meet")),
    ("Spread_Segment 10.3.7.255 { localhost 127.0.0.1\n a 10.3.0.9 }", Refused("cannot reach it")),
    ("Spread_Segment 239.9.9.9 239.9.9.8 { a 10.3.0.9 }", Refused("its segment has 2 networks")),
];

#[test]
fn every_shape_is_read_or_refused_as_it_should() {
    for (text, verdict) in SHAPES {
        let read = Settings::parse("f", text.as_bytes());
        let words = |settings: &Settings| settings.warnings.iter().map(|it| format!("{it}\n")).collect::<String>();
        match (verdict, read) {
            (Silent, Ok(settings)) => assert_eq!(words(&settings), "", "{text}"),
            (Warned(words_of), Ok(settings)) => {
                assert!(words(&settings).contains(words_of), "{text}: {}", words(&settings))
            }
            (Refused(words), Err(error)) => assert!(error.to_string().contains(words), "{text}: {error}"),
            (_, Ok(settings)) => panic!("{text}: accepted with {:?}", words(&settings)),
            (_, Err(error)) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn too_many_daemons_or_segments_are_refused() {
    let daemons = |n: u32| (1..=n).map(|i| format!("n{i} 10.9.{}.{}\n", i / 250, i % 250)).collect::<String>();
    let error =
        Settings::parse("f", format!("Spread_Segment 239.9.1.1 {{\n{}}}", daemons(129)).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "f:130:1: more than 128 daemons");
    let segments = (1..=21).map(|i| format!("Spread_Segment 10.71.{i}.255 {{ s{i} 10.71.{i}.1 }}\n"));
    let error = Settings::parse("f", segments.collect::<String>().as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "f:21:1: more than 20 segments");
}

/// A collection of files beside the tree, with a table of what becomes of each; it need not be there.
#[test]
fn every_collected_file_is_read_as_its_table_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/confs");
    let Ok(table) = fs::read_to_string(folder.join("README.md")) else {
        println!("there is no collection of files: the shapes of this test must do");
        return;
    };
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let file = cells.next().filter(|file| file.ends_with(".conf"))?;
        Some((file, cells.nth(2)?))
    });
    let mut read = 0;
    for (file, verdict) in rows {
        read += 1;
        let result = files::read(&folder.join(file)).map_err(|error| error.to_string());
        match (verdict.split([',', ' ']).next().unwrap(), &result) {
            ("accept", Ok(_)) | ("refuse" | "either", Err(_)) => {}
            ("either", Ok(settings)) if !verdict.contains("clear word") || !settings.warnings.is_empty() => {}
            _ => panic!("{file} must be: {verdict}; {:?}", result.map(|settings| settings.warnings)),
        }
        if let Err(error) = &result {
            assert!(error.contains(&format!("{file}:")), "{file}: {error}");
        }
        if let Ok(settings) = &result {
            let written = settings.to_string();
            let again =
                Settings::parse("WRITTEN", written.as_bytes()).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!((written, &again.table), (again.to_string(), &settings.table), "{file}");
        }
    }
    assert!(read >= 43, "{read} rows");
}

/// Keywords that work with a warning.
const WARNED: [&str; 1] = ["DangerousMonitor"];

#[test]
fn every_keyword_that_works_with_a_warning_is_in_the_shapes() {
    assert!(WARNED.iter().all(|keyword| SHAPES.iter().any(|(text, _)| text.contains(&format!("{keyword} = yes")))));
}

#[test]
fn every_keyword_of_the_classic_description_is_known() {
    // The description of the classic file beside the tree; it need not be there.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/spec/spread-conf.md");
    let Ok(page) = fs::read_to_string(page) else {
        return println!("the description of the classic file is not there");
    };
    let parameters = page.split("\n## ").find(|section| section.starts_with("8. Parameters")).unwrap();
    let cells = parameters.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let words = cells.flat_map(|cell| cell.split([',', ' ', '`', '…'])).filter(|word| word.len() > 3);
    let words: Vec<&str> = words.filter(|word| !["Keyword", "Timer"].contains(word)).collect();
    assert!(words.len() > 30, "{words:?}");
    words.iter().for_each(|word| assert!(keywords().iter().any(|keyword| keyword.name == *word), "{word}"));
}
