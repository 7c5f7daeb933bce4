//! How a sorted piece of ids lies on disk while an audience is gathered.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
    path::Path,
};

use super::SourceSet;

/// A piece on its way to disk. Each id: its length, its sources, the length of its values, itself, them.
pub struct Spill(BufWriter<File>);

const HEAD_BYTES: usize = 2 + 4 + 4;
/// How much of each spilled piece is read at once.
const BLOCK_BYTES: usize = 128 << 10;

impl Spill {
    pub fn new(folder: &Path) -> io::Result<Spill> {
        Ok(Spill(BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(folder)?)))
    }

    pub fn write(&mut self, id: &[u8], sources: SourceSet, values: &[u8]) -> io::Result<()> {
        let mut head = [0; HEAD_BYTES];
        head[..2].copy_from_slice(&(id.len() as u16).to_le_bytes());
        head[2..6].copy_from_slice(&sources.bits().to_le_bytes());
        head[6..].copy_from_slice(&(values.len() as u32).to_le_bytes());
        self.0.write_all(&head)?;
        self.0.write_all(id)?;
        self.0.write_all(values)
    }

    pub fn end(self) -> io::Result<File> {
        let mut file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    }
}

/// A spilled piece that is read, one id after the other.
#[derive(Debug)]
pub struct Spilled {
    file: File,
    /// What has been read of it; what counts of that lies before `end`.
    block: Vec<u8>,
    end: usize,
    /// Where the id that was read last lies, and its values behind it.
    id: usize,
    values: usize,
    next: usize,
}

impl Spilled {
    pub fn new(file: File) -> Spilled {
        Spilled { file, block: vec![0; BLOCK_BYTES], end: 0, id: 0, values: 0, next: 0 }
    }

    /// The id that was read last.
    pub fn id(&self) -> &[u8] {
        &self.block[self.id..self.values]
    }

    /// The values of the id that was read last.
    pub fn values(&self) -> &[u8] {
        &self.block[self.values..self.next]
    }

    /// Reads the next id with its values, and gives its sources; None at the end.
    pub fn advance(&mut self) -> io::Result<Option<SourceSet>> {
        (self.id, self.values) = (self.next, self.next);
        if !self.has(HEAD_BYTES)? {
            return match self.next == self.end {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let mut head = [0; HEAD_BYTES];
        head.copy_from_slice(&self.block[self.next..][..HEAD_BYTES]);
        let [a, b, s0, s1, s2, s3, v0, v1, v2, v3] = head;
        let id_length = usize::from(u16::from_le_bytes([a, b]));
        let values_length = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        let whole = HEAD_BYTES + id_length + values_length;
        if !self.has(whole)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.id = self.next + HEAD_BYTES;
        self.values = self.id + id_length;
        self.next += whole;
        Ok(Some(SourceSet::from_bits(u32::from_le_bytes([s0, s1, s2, s3]))))
    }

    /// Sees to it that so many bytes of what comes next lie in the block. Tells whether there are as many.
    fn has(&mut self, length: usize) -> io::Result<bool> {
        if self.end - self.next >= length {
            return Ok(true);
        }
        self.block.copy_within(self.next..self.end, 0);
        self.end -= self.next;
        (self.id, self.values, self.next) = (0, 0, 0);
        if self.block.len() < length {
            self.block.resize(length, 0);
        }
        while self.end < length {
            match self.file.read(&mut self.block[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spilled_comes_back_however_the_blocks_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(folder.path()).unwrap();
        // Longer and shorter than a block, and so many that most of those that cross its end are short.
        let length = |number: usize| if number % 5_000 == 77 { BLOCK_BYTES + number } else { number % 40 };
        let expected = |number: usize| (format!("u{number}"), vec![number as u8; length(number)]);
        for number in 0..20_000 {
            let (id, values) = expected(number);
            spill.write(id.as_bytes(), SourceSet::of(number % 3), &values).unwrap();
        }
        let mut spilled = Spilled::new(spill.end().unwrap());
        for number in 0..20_000 {
            let (id, values) = expected(number);
            assert_eq!(spilled.advance().unwrap(), Some(SourceSet::of(number % 3)));
            assert_eq!((spilled.id(), spilled.values()), (id.as_bytes(), values.as_slice()));
        }
        assert_eq!(spilled.advance().unwrap(), None);
        assert_eq!(spilled.advance().unwrap(), None);
    }

    #[test]
    fn a_piece_that_is_cut_short_is_an_error_and_no_end() {
        let folder = tempfile::tempdir().unwrap();
        for cut in [1, HEAD_BYTES, HEAD_BYTES + 3] {
            let mut spill = Spill::new(folder.path()).unwrap();
            spill.write(b"u1", SourceSet::of(0), b"{}").unwrap();
            let file = spill.end().unwrap();
            file.set_len(cut as u64).unwrap();
            assert!(Spilled::new(file).advance().is_err(), "{cut}");
        }
    }
}
