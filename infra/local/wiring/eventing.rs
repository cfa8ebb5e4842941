//! Knative's Broker and Triggers: which function gets which events, and what happens when it fails.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use runtime::Function;
use serde::Deserialize;

use super::file::{File, Metadata, documents, triggered};

/// A complete subscription: defaults of a Trigger are taken from the Broker.
#[derive(Clone)]
pub struct Trigger {
    pub name: String,
    pub filter: Filter,
    pub subscriber: &'static Function,
    pub delivery: Delivery,
}

/// The values that an event's attributes must have.
pub type Filter = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How often a failed delivery is tried again.
    pub retry: u32,
    pub exponential: bool,
    pub backoff: Duration,
    pub timeout: Duration,
    pub dead_letter_sink: Option<&'static str>,
}

/// Knative Serving's default: it ends a request after five minutes.
const TIMEOUT: Duration = Duration::from_secs(300);

impl Delivery {
    /// How long to wait before the next attempt, after `attempts` failures.
    pub fn pause(&self, attempts: u32) -> Duration {
        let doublings = if self.exponential { attempts.saturating_sub(1).min(31) } else { 0 };
        self.backoff.saturating_mul(1 << doublings)
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Document {
    Broker(BrokerObject),
    Trigger(TriggerObject),
}

#[derive(Debug, Deserialize)]
enum ApiVersion {
    #[serde(rename = "eventing.knative.dev/v1")]
    V1,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerObject {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    metadata: Metadata,
    #[serde(default)]
    spec: BrokerSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerSpec {
    #[serde(default)]
    delivery: DeliverySpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerObject {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    metadata: Metadata,
    spec: TriggerSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerSpec {
    broker: String,
    #[serde(default)]
    filter: FilterSpec,
    #[serde(default)]
    delivery: DeliverySpec,
    subscriber: Destination,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterSpec {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DeliverySpec {
    retry: Option<u32>,
    backoff_policy: Option<BackoffPolicy>,
    backoff_delay: Option<String>,
    timeout: Option<String>,
    dead_letter_sink: Option<Destination>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackoffPolicy {
    Linear,
    Exponential,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Destination {
    #[serde(rename = "ref")]
    reference: Reference,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Reference {
    #[serde(rename = "apiVersion")]
    _api_version: ServingVersion,
    #[serde(rename = "kind")]
    _kind: ServiceKind,
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
enum ServingVersion {
    #[serde(rename = "serving.knative.dev/v1")]
    V1,
}

#[derive(Clone, Debug, Deserialize)]
enum ServiceKind {
    Service,
}

pub fn read(files: &[File], functions: &'static [Function]) -> Result<Vec<Trigger>> {
    let (mut brokers, mut triggers) = (BTreeMap::new(), Vec::new());
    for file in files {
        for (place, document) in documents::<Document>(file)? {
            match document {
                Document::Broker(broker) => {
                    if brokers.insert(broker.metadata.name.clone(), broker.spec.delivery).is_some() {
                        bail!("{place}: a second Broker {:?}", broker.metadata.name);
                    }
                }
                Document::Trigger(trigger) => triggers.push((place, trigger)),
            }
        }
    }
    let mut complete = Vec::<Trigger>::new();
    for (place, trigger) in triggers {
        let name = trigger.metadata.name;
        let place = || format!("{place}, Trigger {name:?}");
        let broker = brokers.get(&trigger.spec.broker);
        let defaults = broker.with_context(|| format!("{}: spec.broker names no Broker", place()))?;
        if complete.iter().any(|other| other.name == name) {
            bail!("{}: a second Trigger of this name", place());
        }
        complete.push(Trigger {
            filter: trigger.spec.filter.attributes,
            subscriber: triggered(functions, &trigger.spec.subscriber.reference.name)
                .with_context(|| format!("{}: spec.subscriber.ref", place()))?,
            delivery: delivery(trigger.spec.delivery, defaults, functions)
                .with_context(|| format!("{}: spec.delivery", place()))?,
            name,
        });
    }
    Ok(complete)
}

/// A Trigger's delivery settings, with the Broker's as defaults.
fn delivery(own: DeliverySpec, broker: &DeliverySpec, functions: &'static [Function]) -> Result<Delivery> {
    let text = own.backoff_delay.or_else(|| broker.backoff_delay.clone());
    let timeout = own.timeout.or_else(|| broker.timeout.clone());
    let sink = own.dead_letter_sink.or_else(|| broker.dead_letter_sink.clone());
    Ok(Delivery {
        retry: own.retry.or(broker.retry).unwrap_or(0),
        exponential: own.backoff_policy.or(broker.backoff_policy) != Some(BackoffPolicy::Linear),
        backoff: text.map_or(Ok(Duration::from_secs(1)), |t| duration(&t)).context("backoffDelay")?,
        timeout: timeout.map_or(Ok(TIMEOUT), |t| duration(&t)).context("timeout")?,
        dead_letter_sink: sink
            .map(|sink| triggered(functions, &sink.reference.name).map(|f| f.name))
            .transpose()
            .context("deadLetterSink.ref")?,
    })
}

/// Parses the part of ISO 8601 that delays use: `PT1S`, `PT0.5S`, `PT5M`, `PT1H30M`.
fn duration(text: &str) -> Result<Duration> {
    let complaint = || format!("{text:?} is not a duration such as PT1S");
    let mut rest = text.strip_prefix("PT").filter(|rest| !rest.is_empty()).with_context(complaint)?;
    let mut total = Duration::ZERO;
    let mut units = [("H", 3600.0), ("M", 60.0), ("S", 1.0)].into_iter();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_uppercase()).with_context(complaint)?;
        let (unit, after) = rest[end..].split_at(1);
        let seconds = units.find(|(name, _)| *name == unit).with_context(complaint)?.1;
        let number = &rest[..end];
        if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            bail!(complaint());
        }
        let number: f64 = number.parse().ok().with_context(complaint)?;
        total += Duration::try_from_secs_f64(number * seconds).ok().with_context(complaint)?;
        rest = after;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nonsense_is_not() {
        for (text, seconds) in [("PT1S", 1.0), ("PT0.5S", 0.5), ("PT5M", 300.0), ("PT1H30M", 5400.0)] {
            assert_eq!(duration(text).expect(text).as_secs_f64(), seconds);
        }
        for text in ["", "PT", "1S", "PT1", "PT-1S", "PTS", "PT1S1M", "P1D", "PT1e3S", "PTinfS", "PT1X"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pauses_double_from_the_first_delay() {
        let delivery = Delivery {
            retry: 10,
            exponential: true,
            backoff: Duration::from_secs(1),
            timeout: TIMEOUT,
            dead_letter_sink: None,
        };
        let pauses: Vec<_> = (1..=5).map(|n| delivery.pause(n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16]);
        assert_eq!(Delivery { exponential: false, ..delivery }.pause(5).as_secs(), 1);
    }
}
