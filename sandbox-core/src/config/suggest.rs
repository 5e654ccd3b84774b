//! Owns: guessing which known name was meant.

/// `did you mean "memory"?` for the known name that is nearest to `name`, if one is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Longer names are no typing errors, and the distance takes quadratic time.
    if name.len() > 64 {
        return None;
    }
    let folded = name.to_ascii_lowercase().replace('-', "_");
    let allowed = (folded.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(&folded, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| format!("did you mean {candidate:?}?"))
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["memory", "memory_high", "pids", "cpus", "wall_time"];
        for (name, meant) in [
            ("memroy", Some("did you mean \"memory\"?")),
            ("pid", Some("did you mean \"pids\"?")),
            ("Wall-Time", Some("did you mean \"wall_time\"?")),
            ("memoryhigh", Some("did you mean \"memory_high\"?")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(name, known).as_deref(), meant, "{name}");
        }
        assert_eq!(did_you_mean(&"m".repeat(100_000), known), None);
    }
}
