//! The file: all of it, or none.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file under a temporary name beside its place; dropped unfinished, it is gone.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl Output {
    /// Makes the temporary file: whether it can be written shows before the work begins.
    pub(crate) fn create(path: &Path) -> io::Result<Output> {
        if path.is_dir() {
            return Err(io::Error::new(ErrorKind::IsADirectory, "is a folder"));
        }
        let name = path.file_name();
        let name =
            name.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let file = File::create_new(&temporary)?;
        Ok(Output { path: path.to_owned(), temporary, file })
    }

    /// Writes the content and gives the file its name, in place of what may have been there.
    pub(crate) fn finish(mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Behind the renaming there is nothing of that name.
        let _ = fs::remove_file(&self.temporary);
    }
}
