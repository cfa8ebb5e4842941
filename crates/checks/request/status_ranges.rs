//! Which status codes count as up: `200-299,301`. Servers send any three digits (LinkedIn: 999).

use std::{fmt, ops::RangeInclusive, str::FromStr};

use contract::{Text, words};

/// More than anyone needs, and few enough to search on every check.
const MAX_RANGES: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRanges(Vec<RangeInclusive<u16>>);

impl StatusRanges {
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl FromStr for StatusRanges {
    type Err = Text;

    fn from_str(text: &str) -> Result<Self, Text> {
        // One range has at most a dozen characters: a much longer text need not be split.
        if text.len() > MAX_RANGES * 12 || text.split(',').count() > MAX_RANGES {
            return Err(words::at_most_status_ranges(MAX_RANGES).into());
        }
        text.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn range(part: &str) -> Result<RangeInclusive<u16>, Text> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (status(part, first.trim())?, status(part, last.trim())?);
    if first > last {
        return Err(words::range_is_the_wrong_way_round(part).into());
    }
    Ok(first..=last)
}

fn status(part: &str, text: &str) -> Result<u16, Text> {
    // `parse` alone would accept `+200`.
    if text.len() == 3
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(status @ 100..=999) = text.parse()
    {
        return Ok(status);
    }
    Err(words::is_no_status_range(part).into())
}

impl fmt::Display for StatusRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_no_range_and_says_why() {
        for text in [
            "",
            ",",
            "200,",
            "99",
            "1000",
            "2xx",
            "200-",
            "-200",
            "200-299-300",
            "+200",
            "２００",
            "200\0",
            "0200",
            "99999999999999999999",
        ] {
            let message = text.parse::<StatusRanges>().unwrap_err();
            assert!(message.en.contains("is no status range"), "{text}: {message:?}");
        }
        let backwards = "299-200".parse::<StatusRanges>().unwrap_err();
        assert_eq!(backwards.en, "`299-200` is the wrong way round");
        let many = vec!["200"; 21].join(",").parse::<StatusRanges>().unwrap_err();
        assert_eq!(many.en, "at most 20 status ranges");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            ranges in prop::collection::vec((100_u16..=999, 100_u16..=999), 1..=20)
        ) {
            let ranges = StatusRanges(
                ranges.into_iter().map(|(a, b)| a.min(b)..=a.max(b)).collect()
            );
            prop_assert_eq!(ranges.to_string().parse::<StatusRanges>().unwrap(), ranges);
        }

        #[test]
        fn holds_exactly_what_lies_within(a in 100_u16..=999, b in 100_u16..=999, c in 100_u16..=999, probe: u16) {
            let (low, high) = (a.min(b), a.max(b));
            let ranges: StatusRanges = format!(" {low} - {high} , {c} ").parse().unwrap();
            prop_assert_eq!(ranges.contains(probe), (low..=high).contains(&probe) || probe == c);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<StatusRanges>();
        }
    }
}
