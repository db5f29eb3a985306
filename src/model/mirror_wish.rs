//! What somebody wants of a mirror, and what of it can be had.
//!
//! Made by the doors of `api` from bodies and by `config` from entries of `MIRRORS`, carried out by `mirror`:
//! whoever asks, the same is refused in the same words. Secrets are in the open here, and are never printed.

use super::{
    BandwidthWindow, ByteSize, Deletion, MirrorOptions, NamespaceName, RobotName, Secret,
    TagChoice, Timestamp,
};
use crate::oci::{Platform, RepositoryName};

/// Seconds of a deadline that is not given; no shorter one may be (Quay).
pub const MIRROR_DEADLINE_S: u64 = 300;

/// A day: no step of a run takes longer.
const LONGEST_DEADLINE_S: u64 = 86_400;

/// Ten years: what comes later never comes.
const LONGEST_INTERVAL_S: u64 = 10 * 365 * 86_400;

/// Patterns of one mirror, and the bytes of one.
const PATTERNS: usize = 1_000;
const PATTERN_BYTES: usize = 255;

/// Windows of one mirror, and platforms.
const WINDOWS: usize = 100;
const PLATFORMS: usize = 100;

/// Longest location, user name and password (Quay: 4096 and 9000 encrypted).
const REFERENCE_BYTES: usize = 1_024;
const ACCOUNT_BYTES: usize = 4_096;

/// What Quay's filter of architectures knows.
pub const MIRROR_ARCHITECTURES: [&str; 4] = ["amd64", "arm64", "ppc64le", "s390x"];

/// What somebody wants of a mirror. `None`: as it is, or as it is by default; an inner `None`: nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MirrorWish {
    pub enabled: Option<bool>,
    /// `host/path`, or the address of a web page.
    pub reference: Option<String>,
    pub username: Option<Option<Secret>>,
    pub password: Option<Option<Secret>>,
    pub verify_tls: Option<bool>,
    pub unsigned_images: Option<bool>,
    pub http_proxy: Option<Option<String>>,
    pub https_proxy: Option<Option<String>>,
    pub no_proxy: Option<Option<String>>,
    /// When the next run is due.
    pub start: Option<Timestamp>,
    pub interval_s: Option<u64>,
    pub robot: Option<RobotName>,
    pub globs: Option<Vec<String>>,
    pub deadline_s: Option<u64>,
    pub architectures: Option<Vec<String>>,
    /// What Quay's mirrors do not have.
    pub more: MirrorMore,
}

/// The part of a wish that Quay's mirrors do not have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MirrorMore {
    pub exclude: Option<Vec<String>>,
    pub semver: Option<Option<String>>,
    pub newest: Option<Option<u32>>,
    pub cron: Option<Option<String>>,
    pub deletion: Option<Deletion>,
    pub deletion_cap_percent: Option<u8>,
    pub bandwidth: Option<Vec<BandwidthWindow>>,
    pub platforms: Option<Vec<String>>,
    pub referrers: Option<bool>,
}

impl MirrorMore {
    /// Changes what was chosen as far as something is wanted.
    pub fn apply(&self, tags: &mut TagChoice, options: &mut MirrorOptions) {
        take(&mut tags.exclude, self.exclude.as_ref());
        take(&mut tags.semver, self.semver.as_ref());
        take(&mut tags.newest, self.newest.as_ref());
        take(&mut options.cron, self.cron.as_ref());
        take(&mut options.deletion, self.deletion.as_ref());
        let cap = self.deletion_cap_percent.as_ref();
        take(&mut options.deletion_cap_percent, cap);
        take(&mut options.bandwidth, self.bandwidth.as_ref());
        take(&mut options.platforms, self.platforms.as_ref());
        take(&mut options.referrers, self.referrers.as_ref());
    }
}

/// Puts what is wanted in the place of what there is.
pub(super) fn take<T: Clone>(place: &mut T, wanted: Option<&T>) {
    if let Some(wanted) = wanted {
        place.clone_from(wanted);
    }
}

/// A mirror of the configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfiguredMirror {
    pub organization: NamespaceName,
    pub repository: RepositoryName,
    pub wish: MirrorWish,
}

/// Whether a location can be one; what it means is found out by `mirror`.
///
/// # Errors
/// What is wrong with it.
pub fn check_mirror_reference(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("Empty string is an invalid repository location.".to_owned()),
        1..=REFERENCE_BYTES => Ok(()),
        _ => Err(format!("a location has at most {REFERENCE_BYTES} bytes")),
    }
}

/// Whether a half of an account can be one.
///
/// # Errors
/// What is wrong with it.
pub fn check_mirror_account(half: &Secret) -> Result<(), String> {
    match half.expose().len() <= ACCOUNT_BYTES {
        true => Ok(()),
        false => Err(format!(
            "user name and password have at most {ACCOUNT_BYTES} bytes each"
        )),
    }
}

/// Whether a mirror can run so often.
///
/// # Errors
/// What would be right.
pub fn check_mirror_interval(seconds: u64) -> Result<(), String> {
    match (1..=LONGEST_INTERVAL_S).contains(&seconds) {
        true => Ok(()),
        false => Err(format!(
            "sync_interval is 1 to {LONGEST_INTERVAL_S} seconds; is_enabled false stops the runs"
        )),
    }
}

/// Whether a step of a run can have so long.
///
/// # Errors
/// What would be right.
pub fn check_mirror_deadline(seconds: u64) -> Result<(), String> {
    match (MIRROR_DEADLINE_S..=LONGEST_DEADLINE_S).contains(&seconds) {
        true => Ok(()),
        false => Err(format!(
            "skopeo_timeout_interval is {MIRROR_DEADLINE_S} to {LONGEST_DEADLINE_S} seconds"
        )),
    }
}

/// Whether these can be globs of tags.
///
/// # Errors
/// What is wrong with one of them.
pub fn check_mirror_globs(globs: &[String]) -> Result<(), String> {
    if globs.len() > PATTERNS {
        return Err(format!("there are at most {PATTERNS} patterns"));
    }
    let bad = globs
        .iter()
        .find(|glob| !(1..=PATTERN_BYTES).contains(&glob.len()));
    match bad {
        None => Ok(()),
        Some(glob) if glob.is_empty() => Err("a pattern is empty".to_owned()),
        Some(_) => Err(format!("a pattern has at most {PATTERN_BYTES} bytes")),
    }
}

/// Whether these are architectures that the filter knows.
///
/// # Errors
/// The first that is none.
pub fn check_mirror_architectures(architectures: &[String]) -> Result<(), String> {
    let unknown = |it: &&String| !MIRROR_ARCHITECTURES.contains(&it.as_str());
    match architectures.iter().find(unknown) {
        None => Ok(()),
        Some(unknown) => Err(format!(
            "'{unknown}' is not one of {}",
            MIRROR_ARCHITECTURES.join(", ")
        )),
    }
}

/// Whether these are platforms.
///
/// # Errors
/// The first that is none.
pub fn check_mirror_platforms(platforms: &[String]) -> Result<(), String> {
    if platforms.len() > PLATFORMS {
        return Err(format!("there are at most {PLATFORMS} platforms"));
    }
    for platform in platforms {
        let parsed: Result<Platform, _> = platform.parse();
        parsed.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Whether there are no more windows than are looked at.
///
/// # Errors
/// If there are.
pub fn check_mirror_windows(windows: &[BandwidthWindow]) -> Result<(), String> {
    match windows.len() <= WINDOWS {
        true => Ok(()),
        false => Err(format!("there are at most {WINDOWS} windows")),
    }
}

/// `HH:MM` as minutes after midnight; `24:00` is the end of the day.
///
/// # Errors
/// If it is no time of the day.
pub fn parse_minutes(text: &str) -> Result<u16, String> {
    let two = |part: &str| match part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()) {
        true => part.parse::<u16>().ok(),
        false => None,
    };
    let parts = text.trim().split_once(':');
    let time = parts.and_then(|(hours, minutes)| Some((two(hours)?, two(minutes)?)));
    match time {
        Some((24, 0)) => Ok(0),
        Some((hours @ 0..24, minutes @ 0..60)) => Ok(60 * hours + minutes),
        _ => Err(format!("{text:?} is no time of the day; write 22:00")),
    }
}

/// Minutes after midnight as they are written.
pub fn show_minutes(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Bytes a second: a number, or a size with an optional `/s`.
///
/// # Errors
/// If it is none.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let amount = text.trim();
    let amount = amount.strip_suffix("/s").unwrap_or(amount).trim_end();
    let size: ByteSize = amount.parse()?;
    Ok(size.bytes())
}

impl Deletion {
    pub const ALL: [Self; 3] = [Self::Keep, Self::Archive, Self::Delete];

    /// Its name in the API and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Archive => "archive",
            Self::Keep => "keep",
        }
    }
}

impl std::str::FromStr for Deletion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not one of keep, archive, delete"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_are_minutes() {
        for (text, minutes) in [("00:00", 0), ("06:30", 390), ("23:59", 1439), ("24:00", 0)] {
            assert_eq!(parse_minutes(text), Ok(minutes), "{text}");
        }
        for minutes in 0..1440 {
            assert_eq!(parse_minutes(&show_minutes(minutes)), Ok(minutes));
        }
        for text in [
            "", "6:30", "24:01", "12:60", "12", "12:0", "-1:00", "+1:00", "a:b",
        ] {
            assert!(parse_minutes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_are_numbers_or_sizes() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("10 MiB", 10 << 20),
            ("1 kB/s", 1000),
            ("0", 0),
        ] {
            assert_eq!(parse_rate(text), Ok(bytes), "{text}");
        }
        for text in ["fast", "10 Mbit", "-1"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_mirror_cannot_have_is_told() {
        let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            check_mirror_architectures(&texts(&["amd64", "s390x"])),
            Ok(())
        );
        let told = check_mirror_architectures(&texts(&["amd64", "mips"])).unwrap_err();
        assert_eq!(told, "'mips' is not one of amd64, arm64, ppc64le, s390x");
        assert_eq!(check_mirror_globs(&texts(&["*.latest*", "[v]1?"])), Ok(()));
        assert!(check_mirror_globs(&texts(&["a", ""])).is_err());
        assert!(check_mirror_globs(&vec!["a".to_owned(); PATTERNS + 1]).is_err());
        assert_eq!(
            check_mirror_platforms(&texts(&["linux/amd64", "linux/arm/v7"])),
            Ok(())
        );
        assert!(check_mirror_platforms(&texts(&["linux"])).is_err());
        assert!(check_mirror_deadline(299).is_err() && check_mirror_deadline(300).is_ok());
        assert!(check_mirror_interval(0).is_err() && check_mirror_interval(1).is_ok());
        assert!(check_mirror_reference("").is_err());
        let deletions = Deletion::ALL.map(|it| it.as_str().parse());
        assert_eq!(deletions, Deletion::ALL.map(Ok));
        assert!("none".parse::<Deletion>().is_err());
    }
}
