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
}
