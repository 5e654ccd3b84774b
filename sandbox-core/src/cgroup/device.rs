//! Owns: from the devices of a config to their numbers.  Must not: open a device.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::spec::Limits;
use crate::{Error, Result};

/// Major and minor.
pub(super) type Number = (u64, u64);

/// Whether every device that limits name is there and is one.
pub(crate) fn check(limits: &Limits) -> Result<()> {
    for (index, limit) in limits.io.iter().enumerate() {
        disk(&limit.device, &format!("limits.io[{index}].device"))?;
    }
    for (index, rule) in limits.devices.iter().enumerate() {
        Rule::parse(rule, &format!("limits.devices[{index}]"))?;
    }
    Ok(())
}

/// The block device of a path or `MAJOR:MINOR`. I/O is limited for whole disks only.
pub(super) fn disk(device: &Path, origin: &str) -> Result<Number> {
    let refuse = |why: String| Error::unsupported(origin.to_owned(), why);
    if let Some(number) = device.to_str().and_then(number) {
        return Ok(number);
    }
    let meta = std::fs::metadata(device).map_err(|error| refuse(format!("{}: {error}", device.display())))?;
    if !meta.file_type().is_block_device() {
        return Err(refuse(format!("{} is not a block device", device.display())));
    }
    let (major, minor) = (libc::major(meta.rdev()), libc::minor(meta.rdev()));
    if Path::new(&format!("/sys/dev/block/{major}:{minor}/partition")).exists() {
        return Err(refuse(format!("{} is a partition, and I/O is limited for whole disks", device.display()))
            .with_hint("name the disk (lsblk shows it)"));
    }
    Ok((major.into(), minor.into()))
}

fn number(text: &str) -> Option<Number> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A rule of the devices controller; None: any number.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub block: bool,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: String,
}

impl Rule {
    /// `/dev/net/tun:rw` or `c 10:200 rw`; validate has seen to the form.
    pub fn parse(rule: &str, origin: &str) -> Result<Self> {
        let refuse = |why: String| Error::unsupported(origin.to_owned(), why);
        if rule.starts_with('/') {
            let (path, access) = rule.rsplit_once(':').unwrap_or((rule, ""));
            let meta = std::fs::metadata(path).map_err(|error| refuse(format!("{path}: {error}")))?;
            let kind = meta.file_type();
            if !kind.is_block_device() && !kind.is_char_device() {
                return Err(refuse(format!("{path} is not a device")));
            }
            let (major, minor) = (libc::major(meta.rdev()), libc::minor(meta.rdev()));
            return Ok(Self {
                block: kind.is_block_device(),
                major: Some(major),
                minor: Some(minor),
                access: access.to_owned(),
            });
        }
        let mut words = rule.split(' ');
        let (kind, numbers, access) = (words.next(), words.next(), words.next());
        let (major, minor) = numbers.and_then(|numbers| numbers.split_once(':')).unwrap_or_default();
        let number = |text: &str| match text {
            "*" => Ok(None),
            text => text.parse().map(Some).map_err(|_| refuse(format!("{rule}: {text} is the number of no device"))),
        };
        Ok(Self {
            block: kind == Some("b"),
            major: number(major)?,
            minor: number(minor)?,
            access: access.unwrap_or_default().to_owned(),
        })
    }

    /// What every sandbox may use: null, zero, full, random, urandom, tty, ptmx and terminals.
    #[cfg(feature = "cgroups")]
    pub fn minimal() -> Vec<Self> {
        [(1, Some(3)), (1, Some(5)), (1, Some(7)), (1, Some(8)), (1, Some(9)), (5, Some(0)), (5, Some(2)), (136, None)]
            .map(|(major, minor)| Self { block: false, major: Some(major), minor, access: "rw".to_owned() })
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_disks() {
        let rule = Rule::parse("c 10:* rw", "x").expect("a rule");
        assert_eq!(rule, Rule { block: false, major: Some(10), minor: None, access: "rw".into() });
        assert_eq!(Rule::parse("/dev/null:r", "x").expect("a device").minor, Some(3));
        for rule in ["/etc/passwd:r", "c 4294967296:0 r", "c 1:9999999999 r", "c"] {
            assert!(Rule::parse(rule, "x").is_err(), "{rule}");
        }
        assert_eq!(disk(Path::new("8:16"), "x").expect("a number"), (8, 16));
        assert!(disk(Path::new("/dev/null"), "x").is_err());
        assert!(disk(Path::new("/nonexistent"), "x").is_err());
    }
}
