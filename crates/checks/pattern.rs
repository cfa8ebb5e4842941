//! Regular expressions of users over responses of unknown servers, in bounded time.
//!
//! The regex crate is linear in the body, but the factor is the size of the pattern: a pattern within its size limit
//! can take a minute for 1 MiB. So the search runs on the automaton that the crate would use first, and gives up
//! where the crate would change to its slow search.

use std::sync::{Arc, LazyLock};

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::{
    Input, MatchErrorKind,
    hybrid::dfa::{Cache, Config, DFA},
    nfa::thompson,
    util::syntax,
};

use contract::{Text, words};

/// Enough for one or two dozen `\w` with Unicode, or ten thousand plain characters.
const SIZE_LIMIT: usize = 1024 * 1024;
/// The automaton creates its states as they are needed. Those of a usual pattern fit in many times; a pattern that
/// fills the cache this often creates a new state for nearly every byte.
const CACHE_BYTES: usize = 2 * 1024 * 1024;
const CACHE_FILLINGS: usize = 8;
/// Bytes that the slow search may look at.
const SLOW_BYTES: usize = 64 * 1024;
/// Steps that the slow search may take: each byte costs a step for each state of the pattern.
const SLOW_STEPS: usize = 16 * 1024 * 1024;

/// JSON values that paths may visit.
const JSON_VISITS: usize = 16 * 1024 * 1024;

/// What all patterns and JSONPaths of one check may use together.
pub(crate) struct Work {
    cache_fillings: usize,
    slow_steps: usize,
    json_visits: usize,
}

impl Default for Work {
    fn default() -> Self {
        Self { cache_fillings: CACHE_FILLINGS, slow_steps: SLOW_STEPS, json_visits: JSON_VISITS }
    }
}

impl Work {
    /// Visits this many more JSON values, if the limit permits it.
    pub(crate) fn visit(&mut self, values: usize) -> Result<(), String> {
        let left = self.json_visits.checked_sub(values);
        self.json_visits =
            left.ok_or("the JSONPaths take too long on this body, use simpler ones, or fewer")?;
        Ok(())
    }
}

/// Size of all compiled patterns that the process keeps [bytes].
const MAX_CACHED_BYTES: u64 = 32 * 1024 * 1024;

/// Patterns that are compiled once, and shared by all checks with the same pattern.
static COMPILED: LazyLock<moka::sync::Cache<String, Arc<Pattern>>> = LazyLock::new(|| {
    let weigh = |text: &String, pattern: &Arc<Pattern>| {
        u32::try_from(text.len() + pattern.size()).unwrap_or(u32::MAX)
    };
    moka::sync::Cache::builder().max_capacity(MAX_CACHED_BYTES).weigher(weigh).build()
});

#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    automaton: Option<DFA>,
}

impl Pattern {
    /// Whether [`Self::cached`] has the pattern. Otherwise it may compile for tens of milliseconds.
    pub(crate) fn is_cached(text: &str) -> bool {
        COMPILED.contains_key(text)
    }

    pub(crate) fn cached(text: &str) -> Result<Arc<Self>, Text> {
        if let Some(pattern) = COMPILED.get(text) {
            return Ok(pattern);
        }
        let pattern = Arc::new(Self::read(text)?);
        COMPILED.insert(text.to_owned(), Arc::clone(&pattern));
        Ok(pattern)
    }

    fn read(text: &str) -> Result<Self, Text> {
        let regex = RegexBuilder::new(text).size_limit(SIZE_LIMIT).dfa_size_limit(SIZE_LIMIT).build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => words::REGEX_IS_TOO_COMPLEX,
            // The last line is the reason; the lines above it draw an arrow below the pattern.
            error => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                words::is_not_regular_expression(reason).into()
            }
        })?;
        let automaton = DFA::builder()
            .configure(
                Config::new()
                    .unicode_word_boundary(true)
                    .cache_capacity(CACHE_BYTES)
                    .skip_cache_capacity_check(true)
                    .minimum_cache_clear_count(Some(CACHE_FILLINGS)),
            )
            .syntax(syntax::Config::new().utf8(false))
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(SIZE_LIMIT)))
            .build(text)
            .ok();
        Ok(Self { regex, automaton })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// Approximate memory use [bytes]: the regex has an automaton like ours.
    pub(crate) fn size(&self) -> usize {
        let automaton = self.automaton.as_ref().map_or(SIZE_LIMIT, |dfa| dfa.get_nfa().memory_usage());
        2 * automaton + 1024
    }

    /// Where the first match ends, if there is one. `None` if the search would take too long.
    pub(crate) fn find_end(&self, body: &[u8], work: &mut Work) -> Option<Option<usize>> {
        self.find_end_with(&mut None, body, work)
    }

    /// Like [`Self::find_end`], for one of many texts. States that the automaton creates for one text are kept for
    /// the next: to create them again would cost more than the search, and would have no limit.
    pub(crate) fn find_end_with(
        &self,
        cache: &mut Option<Cache>,
        body: &[u8],
        work: &mut Work,
    ) -> Option<Option<usize>> {
        let Some(automaton) = &self.automaton else {
            return self.find_end_slowly(body, SIZE_LIMIT / 16, work);
        };
        if work.cache_fillings == 0 {
            return None;
        }
        let cache = cache.get_or_insert_with(|| automaton.create_cache());
        let before = cache.clear_count();
        let found = automaton.try_search_fwd(cache, &Input::new(body).earliest(true));
        work.cache_fillings = work.cache_fillings.saturating_sub(cache.clear_count() - before);
        match found {
            Ok(found) => Some(found.map(|found| found.offset())),
            // The automaton cannot find where words end outside of ASCII.
            Err(error) if matches!(error.kind(), MatchErrorKind::Quit { .. }) => {
                self.find_end_slowly(body, automaton.get_nfa().states().len(), work)
            }
            Err(_) => None,
        }
    }

    fn find_end_slowly(&self, body: &[u8], states: usize, work: &mut Work) -> Option<Option<usize>> {
        let affordable = work.slow_steps / states.max(1);
        let beginning = &body[..body.len().min(SLOW_BYTES).min(affordable)];
        work.slow_steps -= beginning.len() * states;
        match self.regex.shortest_match(beginning) {
            None if beginning.len() < body.len() => None,
            // The match may exist only because the rest was not searched.
            Some(end) if end == beginning.len() && beginning.len() < body.len() => None,
            found => Some(found),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn is_match(pattern: &str, body: impl AsRef<[u8]>) -> Option<bool> {
        Some(Pattern::read(pattern).unwrap().find_end(body.as_ref(), &mut Work::default())?.is_some())
    }

    #[test]
    fn pattern_is_compiled_once() {
        let compile = || Pattern::cached("compiled (only){3} once").unwrap();
        assert!(Arc::ptr_eq(&compile(), &compile()));
    }

    #[test]
    fn finds_what_the_regex_crate_finds() {
        for (pattern, body) in [
            ("a+b$", "xaab".as_bytes()),
            ("a+b$", b"xaab "),
            ("(?m)^b$", b"a\nb\nc"),
            (r"(?i)STRASSE|ſ", "straſſe".as_bytes()),
            (r"^\w+ \w+$", "모든 시스템".as_bytes()),
            (r"\b시스템\b", "모든 시스템 정상".as_bytes()),
            (r"\b시\b", "모든 시스템 정상".as_bytes()),
            (r"\bgo\b", b"systems go"),
            (r"(?-u)\xff", b"\xfe\xff"),
            (".", b"\xff"),
            ("", b""),
            ("^$", b""),
        ] {
            let wanted = Regex::new(pattern).unwrap().is_match(body);
            assert_eq!(is_match(pattern, body), Some(wanted), "{pattern}");
        }
    }

    /// Which of the last thousand letters were an `a` is a separate state at every position.
    fn letters(count: usize) -> Vec<u8> {
        let mut random = 1_u32;
        let letter = |_| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            if random & 1 == 0 { b'a' } else { b'b' }
        };
        (0..count).map(letter).collect()
    }

    /// Twenty patterns that each take as long as allowed must not take twenty times as long.
    #[test]
    fn the_patterns_of_a_check_share_what_they_may_take() {
        let body = letters(4000);
        let patterns = (0..20).map(|n| Pattern::read(&format!("[ab]*a[ab]{{1000}}c|zz{n}$")).unwrap());
        let (patterns, mut work) = (patterns.collect::<Vec<_>>(), Work::default());
        let answered = patterns.iter().filter(|p| p.find_end(&body, &mut work).is_some()).count();
        assert!((1..10).contains(&answered), "{answered}");
        // The slow search, too: words that end outside of ASCII.
        let (korean, mut work) = ("가나다 ".repeat(6_000), Work::default());
        let slow = Pattern::read(r"\b없음[ab]{500}\b").unwrap();
        let answered = (0..20).filter(|_| slow.find_end(korean.as_bytes(), &mut work).is_some()).count();
        assert!(answered < 10, "{answered}");
        let usual = Pattern::read(r"\b없음\b").unwrap();
        let mut work = Work::default();
        assert!((0..5).all(|_| usual.find_end(korean.as_bytes(), &mut work) == Some(None)));
    }

    #[test]
    fn gives_up_where_it_would_take_long() {
        let body = letters(1024 * 1024);
        assert_eq!(is_match("[ab]*a[ab]{1000}c", &body), None);
        assert_eq!(is_match("[ab]+$", &body), Some(true));
        let korean = "가나다라마바사아자차카타파하 ".repeat(24_000);
        assert_eq!(is_match(r"\w+\s\w{3,9}!", &korean), Some(false));
        assert_eq!(is_match(r"(카타.*){3}", &korean), Some(true));
        assert_eq!(is_match(r"\b없음\b", &korean), None, "only the beginning was looked at");
    }
}
