//! How a sorted piece of ids lies on disk while an audience is gathered.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};

use super::SourceSet;

/// A piece on its way to disk. Each id: its length, its sources, the length of its values, itself, them.
pub struct Spill(BufWriter<File>);

const HEAD_BYTES: usize = 2 + 4 + 4;

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

/// Reads the next id with its values, and gives its sources; None at the end.
pub fn read(
    reader: &mut BufReader<File>,
    id: &mut Vec<u8>,
    values: &mut Vec<u8>,
) -> io::Result<Option<SourceSet>> {
    let mut head = [0; HEAD_BYTES];
    match reader.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [a, b, s0, s1, s2, s3, v0, v1, v2, v3] = head;
    id.resize(usize::from(u16::from_le_bytes([a, b])), 0);
    reader.read_exact(id)?;
    values.resize(u32::from_le_bytes([v0, v1, v2, v3]) as usize, 0);
    reader.read_exact(values)?;
    Ok(Some(SourceSet::from_bits(u32::from_le_bytes([s0, s1, s2, s3]))))
}
