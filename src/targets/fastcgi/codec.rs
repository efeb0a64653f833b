//! FastCGI 1.0 records: bytes in, parts out, and the other way round. Pure: no socket, no clock.
//!
//! The decoder keeps at most one header and one small body; the content of streams is handed on as it
//! comes, so that no length in the input makes it allocate.

/// The only version there is.
const VERSION: u8 = 1;
/// Bytes of a record's header.
const HEADER_BYTES: usize = 8;
/// Most content that one record can carry: its length is two bytes.
pub(super) const CONTENT_BYTES_MAX: usize = 65_535;
/// Records are padded to this, as the protocol recommends.
const ALIGNMENT: usize = 8;
/// The id of our requests. One connection carries one request at a time: PHP-FPM does not multiplex.
const REQUEST_ID: u16 = 1;
/// The role of an application that answers requests.
const ROLE_RESPONDER: u16 = 1;
/// Asks the application to leave the connection open after the request.
const FLAG_KEEP_CONN: u8 = 1;
/// Lengths of names and values up to this are one byte, longer ones are four.
const SHORT_LENGTH_MAX: usize = 127;
/// Bytes that the body of an end record has.
const END_BODY_BYTES: usize = 8;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// A whole request, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    /// All records, in their order.
    pub(super) bytes: Vec<u8>,
    /// Bytes up to and including the record that ends the parameters. An application cannot begin its
    /// work before it has them all.
    pub(super) head_bytes: usize,
}

/// A name and its value do not fit into one record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` is too long for FastCGI")]
pub(super) struct ParamTooLong {
    /// Which one.
    pub(super) name: String,
}

/// What is to become of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It stays open for another one.
    Keep,
    /// The application closes it.
    Close,
}

/// Encodes a request.
///
/// A pair never crosses from one record into the next, although the protocol allows it: PHP-FPM reads each
/// record of parameters by itself and refuses a pair that is cut.
pub(super) fn encode(params: &[(String, Vec<u8>)], body: &[u8], after: After) -> Result<Encoded, ParamTooLong> {
    let mut bytes = Vec::with_capacity(2048 + body.len() + body.len() / CONTENT_BYTES_MAX * 16);
    push_record(&mut bytes, BEGIN_REQUEST, &begin_body(after));
    let mut content = Vec::with_capacity(2048);
    for (name, value) in params {
        let pair_bytes = length_bytes(name.len()) + length_bytes(value.len()) + name.len() + value.len();
        if pair_bytes > CONTENT_BYTES_MAX {
            return Err(ParamTooLong { name: name.clone() });
        }
        if content.len() + pair_bytes > CONTENT_BYTES_MAX {
            push_record(&mut bytes, PARAMS, &content);
            content.clear();
        }
        push_length(&mut content, name.len());
        push_length(&mut content, value.len());
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(value);
    }
    if !content.is_empty() {
        push_record(&mut bytes, PARAMS, &content);
    }
    push_record(&mut bytes, PARAMS, b"");
    let head_bytes = bytes.len();
    for chunk in body.chunks(CONTENT_BYTES_MAX) {
        push_record(&mut bytes, STDIN, chunk);
    }
    push_record(&mut bytes, STDIN, b"");
    Ok(Encoded { bytes, head_bytes })
}

fn begin_body(after: After) -> [u8; 8] {
    let flags = if after == After::Keep { FLAG_KEEP_CONN } else { 0 };
    let [role_high, role_low] = ROLE_RESPONDER.to_be_bytes();
    [role_high, role_low, flags, 0, 0, 0, 0, 0]
}

fn push_record(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let length = u16::try_from(content.len()).expect("content is cut at CONTENT_BYTES_MAX");
    let padding = content.len().next_multiple_of(ALIGNMENT) - content.len();
    let [id_high, id_low] = REQUEST_ID.to_be_bytes();
    let [length_high, length_low] = length.to_be_bytes();
    let padding_length = u8::try_from(padding).expect("padding is shorter than the alignment");
    out.extend_from_slice(&[VERSION, kind, id_high, id_low, length_high, length_low, padding_length, 0]);
    out.extend_from_slice(content);
    out.extend_from_slice(&[0; ALIGNMENT][..padding]);
}

fn length_bytes(length: usize) -> usize {
    if length <= SHORT_LENGTH_MAX { 1 } else { 4 }
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if length <= SHORT_LENGTH_MAX => out.push(short),
        _ => {
            let long = u32::try_from(length).expect("lengths are checked against CONTENT_BYTES_MAX");
            out.extend_from_slice(&(long | 1 << 31).to_be_bytes());
        }
    }
}

/// A piece of what the application sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Some of its answer.
    Stdout(&'a [u8]),
    /// Some of its error stream.
    Stderr(&'a [u8]),
    /// The request is over.
    End(End),
}

/// How the application's side says that a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It ran; PHP-FPM states no exit status.
    Complete,
    /// It was not run: the connection already carries a request.
    CannotMultiplex,
    /// It was not run: no room.
    Overloaded,
    /// It was not run: the application is no responder.
    UnknownRole,
    /// A status that the protocol does not know.
    Other(u8),
}

impl End {
    fn from_byte(status: u8) -> Self {
        match status {
            0 => Self::Complete,
            1 => Self::CannotMultiplex,
            2 => Self::Overloaded,
            3 => Self::UnknownRole,
            other => Self::Other(other),
        }
    }
}

/// Why bytes are no FastCGI answer to our request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecodeError {
    /// Another protocol answers.
    #[error("the answer begins with byte {0:#04x}, which is no FastCGI version")]
    Version(u8),
    /// A stream or an end for a request that we did not make.
    #[error("a record belongs to request {0}")]
    ForeignRequest(u16),
    /// An end without its status.
    #[error("the end record has {0} bytes")]
    ShortEnd(u16),
}

/// Reads records piece by piece. Record types that it does not know, and management records, are skipped,
/// as the protocol asks.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    has_read_a_header: bool,
}

#[derive(Debug)]
enum State {
    Header { have: usize, bytes: [u8; HEADER_BYTES] },
    Stream { is_stderr: bool, left: usize, padding: usize },
    EndBody { have: usize, bytes: [u8; END_BODY_BYTES], left: usize, padding: usize },
    Skip { left: usize },
}

impl Default for State {
    fn default() -> Self {
        Self::Header { have: 0, bytes: [0; HEADER_BYTES] }
    }
}

impl Decoder {
    /// Whether the input ended between two records.
    pub(super) fn is_between_records(&self) -> bool {
        matches!(self.state, State::Header { have: 0, .. } | State::Skip { left: 0 })
    }

    /// Whether any record began as FastCGI says, so that it is FastCGI that answers.
    pub(super) fn has_read_a_header(&self) -> bool {
        self.has_read_a_header
    }

    /// The next part; `None` when `input` is used up. Moves `input` on.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Part<'a>>, DecodeError> {
        loop {
            match &mut self.state {
                State::Skip { left: 0 } => self.state = State::default(),
                _ if input.is_empty() => return Ok(None),
                State::Header { have, bytes } => {
                    fill(bytes, have, input);
                    if bytes[0] != VERSION {
                        return Err(DecodeError::Version(bytes[0]));
                    }
                    if *have == HEADER_BYTES {
                        let header = *bytes;
                        self.has_read_a_header = true;
                        self.state = State::after_header(header)?;
                    }
                }
                State::Stream { is_stderr, left, padding } => {
                    let taken = take(input, *left);
                    *left -= taken.len();
                    let part = if *is_stderr { Part::Stderr(taken) } else { Part::Stdout(taken) };
                    if *left == 0 {
                        self.state = State::Skip { left: *padding };
                    }
                    return Ok(Some(part));
                }
                State::EndBody { have, bytes, left, padding } => {
                    let before = *have;
                    fill(bytes, have, input);
                    *left -= *have - before;
                    if *have == END_BODY_BYTES {
                        let end = End::from_byte(bytes[4]);
                        self.state = State::Skip { left: *left + *padding };
                        return Ok(Some(Part::End(end)));
                    }
                }
                State::Skip { left } => *left -= take(input, *left).len(),
            }
        }
    }
}

impl State {
    fn after_header(header: [u8; HEADER_BYTES]) -> Result<Self, DecodeError> {
        let kind = header[1];
        let request = u16::from_be_bytes([header[2], header[3]]);
        let length = u16::from_be_bytes([header[4], header[5]]);
        let padding = usize::from(header[6]);
        if matches!(kind, STDOUT | STDERR | END_REQUEST) && request != REQUEST_ID {
            return Err(DecodeError::ForeignRequest(request));
        }
        let left = usize::from(length);
        Ok(match kind {
            STDOUT | STDERR if left > 0 => Self::Stream { is_stderr: kind == STDERR, left, padding },
            END_REQUEST if left < END_BODY_BYTES => return Err(DecodeError::ShortEnd(length)),
            END_REQUEST => Self::EndBody { have: 0, bytes: [0; END_BODY_BYTES], left, padding },
            _ => Self::Skip { left: left + padding },
        })
    }
}

/// Takes up to `most` bytes off the front.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// Fills the rest of `bytes` from the front of the input.
fn fill(bytes: &mut [u8], have: &mut usize, input: &mut &[u8]) {
    let taken = take(input, bytes.len() - *have);
    bytes[*have..*have + taken.len()].copy_from_slice(taken);
    *have += taken.len();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Splits what we encoded into records: kind and content.
    fn records(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
            let padding = usize::from(bytes[6]);
            assert_eq!((bytes[0], bytes[2], bytes[3]), (1, 0, 1));
            records.push((bytes[1], bytes[8..8 + length].to_vec()));
            bytes = &bytes[8 + length + padding..];
        }
        records
    }

    /// Reads the pairs of one record, as PHP-FPM does.
    fn pairs(mut content: &[u8]) -> Vec<(String, Vec<u8>)> {
        fn length(content: &mut &[u8]) -> usize {
            if content[0] < 128 {
                usize::from(take(content, 1)[0])
            } else {
                let four: [u8; 4] = take(content, 4).try_into().unwrap();
                (u32::from_be_bytes(four) & 0x7fff_ffff) as usize
            }
        }
        let mut pairs = Vec::new();
        while !content.is_empty() {
            let (name, value) = (length(&mut content), length(&mut content));
            let name = String::from_utf8(take(&mut content, name).to_vec()).unwrap();
            pairs.push((name, take(&mut content, value).to_vec()));
        }
        pairs
    }

    fn record(kind: u8, request: u16, content: &[u8], padding: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = u16::try_from(content.len()).unwrap();
        bytes.extend([1, kind]);
        bytes.extend(request.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend([padding, 0]);
        bytes.extend(content);
        bytes.extend(vec![0; usize::from(padding)]);
        bytes
    }

    /// Standard output, error stream and ends.
    type Seen = (Vec<u8>, Vec<u8>, Vec<End>);

    /// Everything that a decoder says about input that comes in pieces of `step` bytes.
    fn decode(input: &[u8], step: usize) -> Result<Seen, DecodeError> {
        let (mut stdout, mut stderr, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut decoder = Decoder::default();
        for mut piece in input.chunks(step) {
            while let Some(part) = decoder.next(&mut piece)? {
                match part {
                    Part::Stdout(bytes) => stdout.extend_from_slice(bytes),
                    Part::Stderr(bytes) => stderr.extend_from_slice(bytes),
                    Part::End(end) => ends.push(end),
                }
            }
        }
        Ok((stdout, stderr, ends))
    }

    #[test]
    fn a_request_is_begin_params_and_stdin_each_closed() {
        let encoded = encode(&[("A".to_owned(), b"1".to_vec())], b"body", After::Keep).unwrap();
        assert_eq!(
            records(&encoded.bytes),
            [
                (BEGIN_REQUEST, vec![0, 1, 1, 0, 0, 0, 0, 0]),
                (PARAMS, vec![1, 1, b'A', b'1']),
                (PARAMS, vec![]),
                (STDIN, b"body".to_vec()),
                (STDIN, vec![])
            ]
        );
        assert_eq!(records(&encode(&[], b"", After::Close).unwrap().bytes)[0].1, [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded.head_bytes, 16 + 16 + 8);
        assert_eq!(encoded.bytes.len() % ALIGNMENT, 0);
    }

    #[test]
    fn lengths_change_from_one_byte_to_four_after_127() {
        for length in [0, 1, 127, 128, 255, 256, 60_000] {
            let params = [("N".repeat(length.max(1)), vec![b'v'; length.min(5000)])];
            let encoded = encode(&params, b"", After::Keep).unwrap();
            assert_eq!(pairs(&records(&encoded.bytes)[1].1), params, "{length}");
        }
    }

    #[test]
    fn a_pair_never_crosses_records() {
        let params: Vec<_> = (0..40).map(|i| (format!("NAME_{i}"), vec![b'v'; 5000])).collect();
        let encoded = encode(&params, b"", After::Keep).unwrap();
        let read: Vec<_> = records(&encoded.bytes).iter().filter(|r| r.0 == PARAMS).flat_map(|r| pairs(&r.1)).collect();
        assert_eq!(read, params);
        let too_long = [("HUGE".to_owned(), vec![0; CONTENT_BYTES_MAX])];
        assert_eq!(encode(&too_long, b"", After::Keep), Err(ParamTooLong { name: "HUGE".to_owned() }));
    }

    #[test]
    fn a_long_body_is_cut_into_records() {
        let body: Vec<u8> = (0..200_001_u32).map(|i| i.to_le_bytes()[0]).collect();
        let encoded = encode(&[], &body, After::Keep).unwrap();
        let stdin: Vec<_> = records(&encoded.bytes).into_iter().filter(|r| r.0 == STDIN).collect();
        assert_eq!(stdin.iter().map(|r| r.1.len()).collect::<Vec<_>>(), [65_535, 65_535, 65_535, 3_396, 0]);
        assert_eq!(stdin.concat_contents(), body);
    }

    trait Contents {
        fn concat_contents(&self) -> Vec<u8>;
    }
    impl Contents for Vec<(u8, Vec<u8>)> {
        fn concat_contents(&self) -> Vec<u8> {
            self.iter().flat_map(|r| r.1.clone()).collect()
        }
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        let mut input = Vec::new();
        input.extend(record(STDERR, 1, b"oh", 6));
        input.extend(record(10, 0, b"values", 2));
        input.extend(record(77, 9, b"unknown", 0));
        input.extend(record(STDOUT, 1, &vec![b'x'; CONTENT_BYTES_MAX], 255));
        input.extend(record(STDOUT, 1, b"", 0));
        input.extend(record(END_REQUEST, 1, &[0, 0, 0, 0, 0, 0, 0, 0, 9, 9], 3));
        for step in [1, 3, 7, 8, 4096, input.len()] {
            let (stdout, stderr, ends) = decode(&input, step).unwrap();
            assert_eq!((stdout.len(), stderr.as_slice(), ends.as_slice()), (65_535, &b"oh"[..], &[End::Complete][..]));
        }
    }

    #[test]
    fn what_is_no_answer_of_ours_is_an_error() {
        assert_eq!(decode(b"HTTP/1.1 400 Bad Request", 5), Err(DecodeError::Version(b'H')));
        assert_eq!(decode(&record(STDOUT, 2, b"x", 0), 8), Err(DecodeError::ForeignRequest(2)));
        assert_eq!(decode(&record(END_REQUEST, 1, b"xy", 0), 8), Err(DecodeError::ShortEnd(2)));
        let refused = record(END_REQUEST, 1, &[0, 0, 0, 0, 2, 0, 0, 0], 0);
        assert_eq!(decode(&refused, 1).unwrap().2, [End::Overloaded]);
    }

    proptest! {
        #[test]
        fn no_input_makes_the_decoder_panic_or_grow(input: Vec<u8>, step in 1_usize..64) {
            if let Ok((stdout, stderr, _)) = decode(&input, step) {
                prop_assert!(stdout.len() + stderr.len() <= input.len());
            }
        }

        #[test]
        fn records_of_any_kind_do_not_make_it_panic(
            parts in prop::collection::vec((0_u8..12, 0_u16..3, prop::collection::vec(any::<u8>(), 0..40), any::<u8>()), 0..12),
            step in 1_usize..64,
        ) {
            let input: Vec<u8> = parts.iter().flat_map(|(kind, id, content, padding)| record(*kind, *id, content, *padding)).collect();
            let whole = decode(&input, input.len().max(1));
            prop_assert_eq!(whole, decode(&input, step));
        }

        #[test]
        fn a_request_keeps_its_params_and_body(
            params in prop::collection::vec(("[A-Z_]{1,200}", prop::collection::vec(any::<u8>(), 0..400)), 0..20),
            body in prop::collection::vec(any::<u8>(), 0..4000),
        ) {
            let records = records(&encode(&params, &body, After::Keep).unwrap().bytes);
            let read: Vec<_> = records.iter().filter(|r| r.0 == PARAMS).flat_map(|r| pairs(&r.1)).collect();
            prop_assert_eq!(read, params);
            let stdin: Vec<u8> = records.iter().filter(|r| r.0 == STDIN).flat_map(|r| r.1.clone()).collect();
            prop_assert_eq!(stdin, body);
        }
    }
}
