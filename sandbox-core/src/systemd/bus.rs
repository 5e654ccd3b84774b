//! Owns: as much of D-Bus as one method call takes: its messages as bytes, in this machine's byte order.
//! Must not: do I/O, or trust a length: what is not exactly a message is none.
//! Start at: [`call`], [`parse`]. Source: the D-Bus specification, "Message Protocol" and "Marshaling".

/// A message longer than this is not for us.
const LONGEST: usize = 1 << 20;

/// The part that says how long the rest is.
pub const HEAD: usize = 16;

const ENDIAN: u8 = if cfg!(target_endian = "big") { b'B' } else { b'l' };
const METHOD_CALL: u8 = 1;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Reply,
    Error,
    Signal,
    /// A call, or a kind that is yet to be invented.
    Other,
}

/// A message of the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    /// The serial of the call it answers.
    pub answers: Option<u32>,
    /// Of a signal.
    pub member: String,
    /// Of an error.
    pub error: String,
    pub signature: String,
    pub body: Vec<u8>,
}

/// What is written: a message, or its body.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    pub fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_ne_bytes());
    }

    pub fn string(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    pub fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array whose elements begin at multiples of `to`. Its length does not count what is left out before the first.
    pub fn array(&mut self, to: usize, elements: impl FnOnce(&mut Self)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(to);
        let first = self.0.len();
        elements(self);
        let length = (self.0.len() - first) as u32;
        if let Some(bytes) = self.0.get_mut(length_at..length_at + 4) {
            bytes.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// A method and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub signature: &'a str,
}

/// The bytes of a call.
pub fn call(method: &Method<'_>, serial: u32, body: Writer) -> Vec<u8> {
    let mut message = Writer(vec![ENDIAN, METHOD_CALL, 0, 1]);
    message.number(body.0.len() as u32);
    message.number(serial);
    message.array(8, |fields| {
        for (code, kind, text) in [
            (PATH, "o", method.path),
            (INTERFACE, "s", method.interface),
            (MEMBER, "s", method.member),
            (DESTINATION, "s", method.destination),
        ] {
            fields.align(8);
            fields.0.push(code);
            fields.signature(kind);
            fields.string(text);
        }
        fields.align(8);
        fields.0.push(SIGNATURE);
        fields.signature("g");
        fields.signature(method.signature);
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// How long the message is that begins with these bytes. None: it is none that we can read.
pub fn length(head: &[u8; HEAD]) -> Option<usize> {
    let mut reader = Reader { bytes: head, at: 0 };
    let [endian, _, _, version] = [reader.byte()?, reader.byte()?, reader.byte()?, reader.byte()?];
    let (body, _, fields) = (reader.number()?, reader.number()?, reader.number()?);
    let length = HEAD.checked_add(fields as usize)?.checked_next_multiple_of(8)?.checked_add(body as usize)?;
    (endian == ENDIAN && version == 1 && length <= LONGEST).then_some(length)
}

/// A whole message. None: it is none.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let head: &[u8; HEAD] = bytes.first_chunk()?;
    if length(head)? != bytes.len() {
        return None;
    }
    let mut reader = Reader { bytes, at: 1 };
    let kind = match reader.byte()? {
        2 => Kind::Reply,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    reader.at = HEAD - 4;
    let end = HEAD + reader.number()? as usize;
    let mut message = Message {
        kind,
        answers: None,
        member: String::new(),
        error: String::new(),
        signature: String::new(),
        body: Vec::new(),
    };
    while reader.at < end {
        reader.align(8)?;
        let code = reader.byte()?;
        let kind = reader.signature()?;
        match kind {
            "u" => {
                let number = reader.number()?;
                message.answers = Some(number).filter(|_| code == REPLY_SERIAL).or(message.answers);
            }
            "s" | "o" | "g" => {
                let text = if kind == "g" { reader.signature()? } else { reader.string()? };
                let field = match code {
                    MEMBER => &mut message.member,
                    ERROR_NAME => &mut message.error,
                    SIGNATURE => &mut message.signature,
                    _ => continue,
                };
                text.clone_into(field);
            }
            // The specification has no field of another type.
            _ => return None,
        }
    }
    if reader.at != end {
        return None;
    }
    reader.align(8)?;
    message.body = bytes.get(reader.at..)?.to_vec();
    Some(message)
}

impl Message {
    /// The strings and object paths that it begins with, and numbers as text. None: it is not made of such.
    pub fn words(&self) -> Option<Vec<String>> {
        let mut reader = Reader { bytes: &self.body, at: 0 };
        let word = |kind| match kind {
            's' | 'o' => reader.string().map(str::to_owned),
            'u' => reader.number().map(|number| number.to_string()),
            _ => None,
        };
        self.signature.chars().map(word).collect()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.take(self.at.checked_next_multiple_of(to)? - self.at)?.iter().all(|&byte| byte == 0).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_ne_bytes(*self.take(4)?.first_chunk()?))
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0 && !text.contains('\0')).then_some(text)
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?.into();
        self.text(length)
    }
}

/// What a peer sends: a header with these fields, and a body.
#[cfg(test)]
pub fn message_for_tests(kind: u8, fields: &[(u8, &str, &str)], answers: Option<u32>, body: Writer) -> Vec<u8> {
    let mut message = Writer(vec![ENDIAN, kind, 0, 1]);
    message.number(body.0.len() as u32);
    message.number(7);
    message.array(8, |array| {
        for (code, kind, text) in fields {
            array.align(8);
            array.0.push(*code);
            array.signature(kind);
            if *kind == "g" { array.signature(text) } else { array.string(text) }
        }
        if let Some(serial) = answers {
            array.align(8);
            array.0.push(REPLY_SERIAL);
            array.signature("u");
            array.number(serial);
        }
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

#[cfg(test)]
mod tests {
    use super::message_for_tests as message;
    use super::*;

    fn removed() -> Vec<u8> {
        let mut body = Writer::default();
        body.number(12);
        ["/org/freedesktop/systemd1/job/12", "a.scope", "done"].iter().for_each(|word| body.string(word));
        message(4, &[(MEMBER, "s", "JobRemoved"), (SIGNATURE, "g", "uoss")], None, body)
    }

    #[test]
    fn a_call_is_what_the_specification_says() {
        let mut body = Writer::default();
        body.string("x");
        let method = Method { destination: "d.d", path: "/p", interface: "i.i", member: "M", signature: "s" };
        let bytes = call(&method, 3, body);
        #[cfg(target_endian = "little")]
        let wanted: &[&[u8]] = &[
            b"l\x01\0\x01",
            b"\x06\0\0\0",
            b"\x03\0\0\0",
            b"\x47\0\0\0",
            b"\x01\x01o\0",
            b"\x02\0\0\0/p\0",
            b"\0\0\0\0\0",
            b"\x02\x01s\0",
            b"\x03\0\0\0i.i\0",
            b"\0\0\0\0",
            b"\x03\x01s\0",
            b"\x01\0\0\0M\0",
            b"\0\0\0\0\0\0",
            b"\x06\x01s\0",
            b"\x03\0\0\0d.d\0",
            b"\0\0\0\0",
            b"\x08\x01g\0",
            b"\x01s\0",
            b"\0",
            b"\x01\0\0\0x\0",
        ];
        #[cfg(target_endian = "little")]
        assert_eq!(bytes, wanted.concat());
        let read = parse(&bytes).expect("a message");
        assert_eq!((read.kind, read.member.as_str(), read.words()), (Kind::Other, "M", Some(vec!["x".to_owned()])));
    }

    #[test]
    fn a_signal_is_read() {
        let read = parse(&removed()).expect("a message");
        assert_eq!((read.kind, read.member.as_str(), read.answers), (Kind::Signal, "JobRemoved", None));
        assert_eq!(read.words().expect("words"), ["12", "/org/freedesktop/systemd1/job/12", "a.scope", "done"]);
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let bytes = removed();
        for length in 0..bytes.len() {
            assert_eq!(parse(bytes.get(..length).expect("shorter")), None, "{length}");
        }
        assert_eq!(parse(&[bytes.as_slice(), b"x"].concat()), None);
        let mut long = [0; HEAD];
        long.copy_from_slice(bytes.get(..HEAD).expect("a head"));
        assert_eq!(length(&long), Some(bytes.len()));
        for at in [4, 12] {
            let mut long = long;
            long.get_mut(at..at + 4).expect("a length").fill(0xFF);
            assert_eq!(length(&long), None, "a length of 4 GiB at {at}");
        }
    }

    #[test]
    fn no_changed_byte_is_more_than_another_message() {
        let bytes = removed();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                *bytes.get_mut(at).expect("inside") ^= 1 << bit;
                if let Some(message) = parse(&bytes) {
                    message.words();
                }
            }
        }
    }
}
