//! As much of an ELF file (System V ABI, 64 bit, little endian) as tells whether it runs alone.

/// The type of the program header that names an interpreter: the dynamic loader.
const PT_INTERP: u32 = 3;

/// Whether a program needs a dynamic loader. Errors: it is no such ELF file.
pub(crate) fn needs_loader(file: &[u8]) -> Result<bool, String> {
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("this is no ELF file of 64 bit, little endian".to_owned());
    }
    let table = number(file, 32, 8)?;
    let (size, count) = (number(file, 54, 2)?, number(file, 56, 2)?);
    for entry in 0..count {
        if number(file, table + entry * size, 4)? == PT_INTERP as usize {
            return Ok(true);
        }
    }
    Ok(false)
}

fn number(file: &[u8], at: usize, bytes: usize) -> Result<usize, String> {
    let field = file.get(at..at + bytes).ok_or("the ELF file is cut off")?;
    let number = field.iter().rev();
    Ok(number.fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and program headers of these types.
    fn file(types: &[u32]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(64, 0);
        file[32] = 64;
        file[54] = 56;
        file[56] = types.len() as u8;
        for kind in types {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn a_program_with_an_interpreter_needs_a_loader() {
        assert_eq!(needs_loader(&file(&[1, 6, 3])), Ok(true));
        assert_eq!(needs_loader(&file(&[1, 2, 6])), Ok(false));
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(needs_loader(&own), Ok(true), "tests are linked dynamically");
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(needs_loader(b"#!/bin/sh").is_err());
        assert!(needs_loader(&file(&[1])[..60]).is_err());
        assert!(needs_loader(&file(&[1])[..64]).is_err());
    }
}
