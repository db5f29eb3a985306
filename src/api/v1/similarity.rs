//! How well a name fits what was searched for, from 0 to 1 (Quay scores its hits so).
//!
//! Every letter of the search has to stand in the name, in its order. Letters that fit count whole; those
//! behind the last one nearly so, a little more if the name begins as the search does.

/// What letters behind the last that fits count.
const TRAILING: f64 = 0.8;
const TRAILING_BUT_STARTED: f64 = 0.9;

/// The score of a name; 0 if it does not fit.
pub(super) fn similarity(name: &str, search: &str) -> f64 {
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let search: Vec<char> = search.to_lowercase().chars().collect();
    if search.is_empty() {
        return TRAILING;
    }
    if search.len() > name.len() {
        return 0.0;
    }
    let (mut behind, mut started) = (0, false);
    for letter in &search {
        let Some(at) = name.iter().skip(behind).position(|it| it == letter) else {
            return 0.0;
        };
        started |= behind + at == 0;
        behind += at + 1;
    }
    let trailing = match started {
        true => TRAILING_BUT_STARTED,
        false => TRAILING,
    };
    let rest = (name.len() - behind) as f64;
    (search.len() as f64 + rest * trailing) / name.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SC-469: what is found by its whole name has the whole score.
    #[test]
    fn what_fits_better_scores_higher() {
        let close = |name: &str, search: &str, score: f64| {
            let found = similarity(name, search);
            assert!((found - score).abs() < 1e-9, "{name} {search}: {found}");
        };
        close("busybox", "busybox", 1.0);
        close("busybox", "busy", (4.0 + 3.0 * 0.9) / 7.0);
        close("busybox", "box", 3.0 / 7.0);
        close("app", "x", 0.0);
        close("app", "apple", 0.0);
        close("app", "", 0.8);
    }
}
