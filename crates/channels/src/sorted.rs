//! The text that most platforms sign: pairs sorted by name, `name=value` joined with `&`.

/// What decides the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The bytes of the names.
    Bytes,
    /// The names without regard to the case of ASCII letters; as Java compares, by their lower-case forms.
    IgnoringCase,
}

/// Sorts pairs by their names and joins them. Values are taken as they are: nothing is encoded, trimmed or left out.
/// Names that are equal in this order keep the order in which they came.
pub fn join<'p>(pairs: impl IntoIterator<Item = (&'p [u8], &'p [u8])>, order: Order) -> Vec<u8> {
    let mut pairs: Vec<(&[u8], &[u8])> = pairs.into_iter().collect();
    match order {
        Order::Bytes => pairs.sort_by_key(|(name, _)| *name),
        Order::IgnoringCase => pairs.sort_by_key(|(name, _)| name.to_ascii_lowercase()),
    }
    let mut text = Vec::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum());
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push(b'&');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
    text
}

/// A name that comes twice. Two readers of such a message can see two messages.
///
/// Of few names each sets one of 64 bits, and only where that is set already the earlier ones are looked at; more of them
/// are sorted.
pub fn twice<'n, N: AsRef<[u8]> + Ord + ?Sized>(names: impl ExactSizeIterator<Item = &'n N> + Clone) -> Option<&'n N> {
    if names.len() > FEW {
        let mut sorted: Vec<&N> = names.collect();
        sorted.sort_unstable();
        return sorted.windows(2).find(|two| two[0] == two[1]).map(|two| two[0]);
    }
    let mut bits = 0_u64;
    names.clone().enumerate().find_map(|(at, name)| {
        let bit = 1 << spread(name.as_ref());
        let is_new = bits & bit == 0;
        bits |= bit;
        (!is_new && names.clone().take(at).any(|known| known == name)).then_some(name)
    })
}

/// Most names that are compared without being sorted.
const FEW: usize = 64;

/// A number below 64 that names of one message seldom share.
fn spread(name: &[u8]) -> u64 {
    // Names differ in their length, and at their beginnings and ends.
    let ends = [name.first(), name.get(name.len() / 2), name.last()];
    let sum = ends.into_iter().flatten().fold(name.len() as u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(*byte));
    sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_by_name_alone() {
        let pairs = [("b", "1"), ("a", ""), ("B", "2"), ("ab", "3"), ("a&", "4")];
        let bytes = pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(join(bytes, Order::Bytes), b"B=2&a=&a&=4&ab=3&b=1");
        assert_eq!(join(bytes, Order::IgnoringCase), b"a=&a&=4&ab=3&b=1&B=2");
        assert_eq!(join([], Order::Bytes), b"");
    }

    #[test]
    fn a_name_that_comes_twice_is_found_among_few_and_among_many() {
        for count in [0, 1, 2, FEW - 1, FEW, FEW + 1, 1000] {
            let mut names: Vec<String> = (0..count).map(|at| format!("name_{at}")).collect();
            assert_eq!(twice(names.iter().map(String::as_str)), None, "{count}");
            for at in 0..count.min(70) {
                names.push(names[at].clone());
                assert_eq!(twice(names.iter().map(String::as_str)), Some(names[at].as_str()), "{count}");
                names.pop();
            }
        }
        assert_eq!(twice(["", "a", ""].into_iter()), Some(""));
    }
}
