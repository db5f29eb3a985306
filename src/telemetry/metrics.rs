//! The registry of metrics and its text for Prometheus.
//!
//! `app` makes one, hands `registry()` to each room's `Metrics::new`, and serves `render()` on the
//! metrics listener. Labels come from closed sets only (DO-10); that is the rooms' duty.

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder, Opts, Registry, TextEncoder};

/// All metric families of the process.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// The content type of [`Metrics::render`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// A registry that holds the figures of the process (CPU, memory, descriptors).
    ///
    /// # Errors
    /// If the process figures cannot be registered.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self { registry })
    }

    /// Where rooms register their families.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Every family in Prometheus' text form.
    ///
    /// # Errors
    /// If a family has no metrics or a name of another form.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// Options of the metric `entrepot_<room>_<thing>`; `thing` ends in its unit, and `_total` if it
/// counts.
pub fn opts(room: &str, thing: &str, help: &str) -> Opts {
    let word = |text: &str| {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        !text.is_empty() && text.bytes().all(letter)
    };
    debug_assert!(
        word(room) && word(thing),
        "{room}_{thing} is not a metric's name"
    );
    Opts::new(format!("entrepot_{room}_{thing}"), help)
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    #[test]
    fn the_text_holds_the_process_and_what_rooms_count() {
        let metrics = Metrics::new().unwrap();
        let options = opts("proxy", "fills_total", "Blobs fetched from upstreams");
        let fills = IntCounter::with_opts(options).unwrap();
        metrics
            .registry()
            .register(Box::new(fills.clone()))
            .unwrap();
        fills.inc_by(3);
        let text = metrics.render().unwrap();
        assert!(text.contains("# HELP entrepot_proxy_fills_total Blobs fetched"));
        assert!(text.contains("\nentrepot_proxy_fills_total 3\n"));
        assert!(text.contains("process_resident_memory_bytes "));
    }
}
