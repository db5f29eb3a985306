//! What a server says of itself at `/metrics`, in the text format of Prometheus.

use super::connection::{Connection, Target};
use crate::failure::{Doing as _, Failure, Outcome};

/// One look at the metrics.
pub(crate) struct Scrape(String);

impl Scrape {
    /// Looks now.
    pub(crate) async fn of(target: &Target) -> Outcome<Self> {
        let mut client = Connection::open(target).await?;
        let mut text = Vec::new();
        let answer = client.get("/metrics", |piece| text.extend_from_slice(piece));
        let status = answer.await?.status;
        if status != 200 {
            return Err(Failure::new(format!("/metrics: status {status}")));
        }
        String::from_utf8(text).doing("read the metrics").map(Self)
    }

    /// The sum of a counter or gauge over all its labels; 0 if it is not there.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples(name).fold(0.0, |sum, (_, value)| sum + value)
    }

    /// The bound of the bucket that holds `share` of what a histogram has seen, over all its labels;
    /// `None` if it has seen nothing.
    pub(crate) fn percentile(&self, name: &str, share: f64) -> Option<f64> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (labels, seen) in self.samples(&format!("{name}_bucket")) {
            let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
            let bound = bound.replace("+Inf", "inf").parse().ok()?;
            match buckets.iter_mut().find(|bucket| bucket.0 == bound) {
                Some(bucket) => bucket.1 += seen,
                None => buckets.push((bound, seen)),
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let wanted = share * buckets.last().filter(|all| all.1 > 0.0)?.1;
        let bucket = buckets.into_iter().find(|bucket| bucket.1 >= wanted);
        bucket.map(|bucket| bucket.0)
    }

    /// The labels and the value of each sample of that name.
    fn samples(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
            // Otherwise it is a longer name.
            let is_it = labels.is_empty() || labels.starts_with('{');
            Some((labels, value.parse().ok()?)).filter(|_| is_it)
        })
    }
}
