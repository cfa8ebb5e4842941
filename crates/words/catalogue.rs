//! Combines the two language files into Rust source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::read::{self, Message, Part};

/// The source, or all errors, each with its key and file.
pub fn rust([en, ko]: &[(String, String); 2]) -> Result<String, Vec<String>> {
    let (en_read, ko_read) = (read::messages(&en.0, &en.1), read::messages(&ko.0, &ko.1));
    let (en_messages, ko_messages) = match (en_read, ko_read) {
        (Ok(en), Ok(ko)) => (en, ko),
        (en, ko) => return Err([en.err(), ko.err()].into_iter().flatten().flatten().collect()),
    };
    let mut wrong = lacking((&en.0, &en_messages), (&ko.0, &ko_messages));
    wrong.extend(lacking((&ko.0, &ko_messages), (&en.0, &en_messages)));
    let mut rust = String::new();
    for (key, english) in &en_messages {
        let Some(korean) = ko_messages.get(key) else { continue };
        wrong.extend(differing(key, (&en.0, english), (&ko.0, korean)));
        write(&mut rust, key, english, korean);
    }
    if wrong.is_empty() { Ok(rust) } else { Err(wrong) }
}

/// The constant's name for a message without values.
fn constant(key: &str) -> String {
    key.replace('-', "_").to_uppercase()
}

type File<'a, T> = (&'a str, &'a T);

fn lacking(
    (here, messages): File<'_, BTreeMap<String, Message>>,
    (there, others): File<'_, BTreeMap<String, Message>>,
) -> Vec<String> {
    let lacks = messages.keys().filter(|key| !others.contains_key(*key));
    lacks.map(|key| format!("{there}: lacks `{key}`, which {here} has")).collect()
}

fn differing(key: &str, en: File<'_, Message>, ko: File<'_, Message>) -> Vec<String> {
    let one_way = |(here, message): File<'_, Message>, (there, other): File<'_, Message>| {
        let (values, others) = (message.values(), other.values());
        let lacks = values.difference(&others).filter(|name| !message.only_here.contains(**name));
        let lacks = lacks.map(|name| format!("{there}: `{key}` lacks ${name}, which {here} has"));
        let both = message.only_here.iter().filter(|name| others.contains(name.as_str()));
        let both =
            both.map(|name| format!("{here}: `{key}` has ${name} \"only here\", and {there} has it, too"));
        lacks.chain(both).collect::<Vec<_>>()
    };
    [one_way(en, ko), one_way(ko, en)].concat()
}

fn write(rust: &mut String, key: &str, english: &Message, korean: &Message) {
    let values: BTreeSet<&str> = english.values().union(&korean.values()).copied().collect();
    let (en, ko) = (format_string(english), format_string(korean));
    let doc = plain(english);
    let _ = if values.is_empty() {
        let (name, en, ko) = (constant(key), plain(english), plain(korean));
        writeln!(
            rust,
            "#[doc = {doc:?}]\npub const {name}: Text = \
             Text {{ en: std::borrow::Cow::Borrowed({en:?}), ko: std::borrow::Cow::Borrowed({ko:?}) }};"
        )
    } else {
        let name = key.replace('-', "_");
        let parameters: Vec<_> =
            values.iter().map(|name| format!("{name}: impl std::fmt::Display")).collect();
        let parameters = parameters.join(", ");
        writeln!(
            rust,
            "#[doc = {doc:?}]\npub fn {name}({parameters}) -> \
             Phrase<impl Fn(Language, &mut std::fmt::Formatter<'_>) -> std::fmt::Result> {{
    Phrase::new(move |language, f| match language {{
        Language::English => write!(f, {en:?}),
        Language::Korean => write!(f, {ko:?}),
    }})
}}"
        )
    };
}

fn plain(message: &Message) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Value(name) => format!("{{{name}}}"),
    };
    message.parts.iter().map(part).collect()
}

fn format_string(message: &Message) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Part::Value(name) => format!("{{{name}}}"),
    };
    message.parts.iter().map(part).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn of(en: &str, ko: &str) -> Result<String, Vec<String>> {
        rust(&[("en.ftl".to_owned(), en.to_owned()), ("ko.ftl".to_owned(), ko.to_owned())])
    }

    /// The errors for two files.
    fn wrong(en: &str, ko: &str) -> String {
        of(en, ko).unwrap_err().join("; ")
    }

    #[test]
    fn text_becomes_a_constant() {
        let rust = of("check-now = Check now\n", "check-now = 지금 체크\n").unwrap();
        assert!(rust.contains("pub const CHECK_NOW: Text = "), "{rust}");
        assert!(
            rust.contains("Borrowed(\"Check now\")") && rust.contains("Borrowed(\"지금 체크\")"),
            "{rust}"
        );
    }

    #[test]
    fn values_become_parameters_in_alphabetical_order() {
        let rust = of("up = { $up } of { $checks } up\n", "up = { $checks }회 중 { $up }회\n").unwrap();
        assert!(
            rust.contains("pub fn up(checks: impl std::fmt::Display, up: impl std::fmt::Display)"),
            "{rust}"
        );
        assert!(
            rust.contains("\"{up} of {checks} up\"") && rust.contains("\"{checks}회 중 {up}회\""),
            "{rust}"
        );
    }

    #[test]
    fn quoted_text_lines_and_braces_are_kept() {
        let source = "or = { \" \" }or{ \" \" }\nletter =\n    One\n\n    two { \"{\" }x{ \"}\" } \"y\" \\\n";
        let rust = of(source, source).unwrap();
        assert!(rust.contains("Borrowed(\" or \")"), "{rust}");
        assert!(rust.contains(r#"Borrowed("One\n\ntwo {x} \"y\" \\")"#), "{rust}");
        let filled = of("a = { \"{\" }{ $b }\n", "a = { $b }\n").unwrap();
        assert!(filled.contains("\"{{{b}\""), "{filled}");
    }

    #[test]
    fn key_that_one_language_lacks_is_named() {
        assert_eq!(wrong("a = A\nb = B\n", "a = 가\n"), "ko.ftl: lacks `b`, which en.ftl has");
        assert_eq!(wrong("a = A\n", "a = 가\nb = 나\n"), "en.ftl: lacks `b`, which ko.ftl has");
    }

    #[test]
    fn value_that_one_language_lacks_is_named() {
        assert_eq!(wrong("a = { $x }\n", "a = 가\n"), "ko.ftl: `a` lacks $x, which en.ftl has");
        assert_eq!(wrong("a = A\n", "a = { $x }\n"), "en.ftl: `a` lacks $x, which ko.ftl has");
    }

    #[test]
    fn value_of_one_language_is_declared() {
        let rust = of("# Only here: $x\na = { $x }\n", "a = 가\n").unwrap();
        assert!(rust.contains("pub fn a(x: impl std::fmt::Display)"), "{rust}");
        let both = wrong("# Only here: $x\na = { $x }\n", "a = { $x }\n");
        assert_eq!(both, "en.ftl: `a` has $x \"only here\", and ko.ftl has it, too");
        assert_eq!(
            wrong("# Only here: $y\na = A\n", "a = 가\n"),
            "en.ftl: `a` has no $y, which its comment names"
        );
    }

    #[test]
    fn key_that_is_there_twice_is_named() {
        assert_eq!(wrong("a = A\na = B\n", "a = 가\n"), "en.ftl: `a` is there twice");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let selector = "a = { $x ->\n    [one] one\n   *[other] more\n }\n";
        for (source, said) in [
            (selector, "`a` has a selector"),
            ("a = A\n    .title = B\n", "`a` has the attribute `.title`"),
            ("a = { b }\n", "`a` holds something else in braces"),
            ("a = { -b }\n", "`a` holds something else in braces"),
            ("a = { NUMBER($x) }\n", "`a` holds something else in braces"),
            ("-a = A\n", "`-a` is a term"),
            ("aB = A\n", "`aB` has the name `aB`"),
            ("a = { $aB }\n", "`a` has the name `aB`"),
            ("a = A\n\nb B\n", "en.ftl:3: "),
        ] {
            let wrong = wrong(source, "a = 가\n");
            assert!(wrong.contains(said), "{source}: {wrong}");
        }
    }

    #[test]
    fn generate_writes_a_file_and_names_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("words.rs");
        std::fs::write(folder.path().join("en.ftl"), "a = A\n").unwrap();
        let missing = crate::generate(folder.path(), &out).unwrap_err();
        assert!(format!("{missing:#}").contains("ko.ftl"), "{missing:#}");
        std::fs::write(folder.path().join("ko.ftl"), "b = 나\n").unwrap();
        let differ = crate::generate(folder.path(), &out).unwrap_err().to_string();
        assert!(differ.contains("lacks `a`") && differ.contains("lacks `b`"), "{differ}");
        std::fs::write(folder.path().join("ko.ftl"), "a = 가\n").unwrap();
        crate::generate(folder.path(), &out).unwrap();
        assert!(std::fs::read_to_string(&out).unwrap().contains("pub const A: Text"));
    }
}
