//! The lines of a list, one after the other, none longer than a bound; lines that were read too far can
//! be given back.

use std::io::{self, BufRead};

/// The longest line, and the longest record of several lines, in bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// It was added to the buffer, with its end.
    Text,
    /// It is longer than [`MAX_BYTES`], and was passed over.
    Long,
    End,
}

/// Reads lines and counts them.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    /// The number of the line that was read last, from 1.
    number: u64,
    /// What was given back, and how much of it has been read again.
    back: Vec<u8>,
    back_read: usize,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader, number: 0, back: Vec::new(), back_read: 0 }
    }

    /// The number of the line that was read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Adds the next line to `buffer`.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> io::Result<Line> {
        let waiting = &self.back[self.back_read..];
        if !waiting.is_empty() {
            let length = waiting.iter().position(|byte| *byte == b'\n').map_or(waiting.len(), |end| end + 1);
            buffer.extend_from_slice(&waiting[..length]);
            self.back_read += length;
            self.number += 1;
            return Ok(Line::Text);
        }
        let before = buffer.len();
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                return Ok(if buffer.len() == before { Line::End } else { self.counted(Line::Text) });
            }
            let end = memchr::memchr(b'\n', available);
            let taken = end.map_or(available.len(), |end| end + 1);
            if buffer.len() - before + taken > MAX_BYTES {
                buffer.truncate(before);
                self.reader.consume(taken);
                if end.is_none() {
                    self.pass_over()?;
                }
                return Ok(self.counted(Line::Long));
            }
            buffer.extend_from_slice(&available[..taken]);
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(self.counted(Line::Text));
            }
        }
    }

    fn counted(&mut self, line: Line) -> Line {
        self.number += 1;
        line
    }

    /// Reads to the end of the line and keeps nothing of it.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let available = self.reader.fill_buf()?;
            let end = memchr::memchr(b'\n', available);
            let taken = end.map_or(available.len(), |end| end + 1);
            self.reader.consume(taken);
            if end.is_some() || taken == 0 {
                return Ok(());
            }
        }
    }

    /// Has whole lines, which end where the last one read ended, read again.
    pub fn give_back(&mut self, lines: &[u8]) {
        let count =
            lines.iter().filter(|byte| **byte == b'\n').count() + usize::from(!lines.ends_with(b"\n"));
        if lines.is_empty() {
            return;
        }
        self.number -= count as u64;
        let waiting = self.back.split_off(self.back_read);
        self.back = [lines, &waiting].concat();
        self.back_read = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_can_be_given_back() {
        let mut lines = Lines::new(&b"a\r\nbb\nccc"[..]);
        let mut buffer = Vec::new();
        for (number, text) in [(1, "a\r\n"), (2, "a\r\nbb\n"), (3, "a\r\nbb\nccc")] {
            assert_eq!(lines.next(&mut buffer).unwrap(), Line::Text);
            assert_eq!((lines.number(), buffer.as_slice()), (number, text.as_bytes()));
        }
        lines.give_back(b"bb\nccc");
        assert_eq!(lines.number(), 1);
        for text in ["bb\n", "ccc"] {
            buffer.clear();
            assert_eq!(lines.next(&mut buffer).unwrap(), Line::Text);
            assert_eq!(buffer, text.as_bytes());
        }
        assert_eq!((lines.next(&mut buffer).unwrap(), lines.number()), (Line::End, 3));
    }

    #[test]
    fn a_long_line_is_passed_over() {
        let text = [vec![b'x'; MAX_BYTES + 1], b"\ny\n".to_vec()].concat();
        // Read in small pieces, as from a slow disk.
        let mut lines = Lines::new(io::BufReader::with_capacity(100, text.as_slice()));
        let mut buffer = Vec::new();
        assert_eq!(lines.next(&mut buffer).unwrap(), Line::Long);
        assert_eq!((lines.next(&mut buffer).unwrap(), lines.number()), (Line::Text, 2));
        assert_eq!(buffer, b"y\n");
    }
}
