//! Texts of these crates for people, in English and Korean: `words/en.ftl` and `words/ko.ftl`. The
//! functions and their pages have their own catalogue, and kinds have their texts in their own files.

use crate::{Language, Phrase, Text};

include!(concat!(env!("OUT_DIR"), "/words.rs"));

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    /// All names after `words::`, or another path, in the Rust files of a folder.
    fn names(folder: &Path, path: &str, into: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                names(&file, path, into);
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&file).unwrap();
                let name = |rest: &str| {
                    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
                };
                into.extend(text.split(path).skip(1).filter_map(name));
            }
        }
    }

    /// They are public, so the compiler does not warn about unused ones.
    #[test]
    fn every_text_is_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut used = BTreeSet::new();
        names(&root.join("../../crates"), "words::", &mut used);
        names(&root.join("../../functions"), "contract::words::", &mut used);
        let catalogue = fs::read_to_string(root.join("words/en.ftl")).unwrap();
        let keys = catalogue.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        for (key, _) in keys.filter_map(|line| line.split_once(" =")) {
            let name = key.replace('-', "_");
            assert!(used.contains(&name) || used.contains(&name.to_uppercase()), "no source uses `{key}`");
        }
    }
}
