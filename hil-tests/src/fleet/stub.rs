//! Packages of any size: what they install only becomes the agent that hosts have already, so that a fleet with packages of
//! nothing, or of 30 MB, measures how they are sent, not what the agent is.

use super::layers::AGENT;

/// An x86-64 program without a library that becomes [`AGENT`], with the arguments and the environment it got.
pub(super) fn program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u16 = 64 + 56;
    /// At its start the stack holds argc, the arguments, a null, and the environment.
    #[rustfmt::skip]
    const CODE: [u8; 44] = [
        0x48, 0x8b, 0x04, 0x24,                     // mov  rax, [rsp]          argc
        0x48, 0x8d, 0x74, 0x24, 0x08,               // lea  rsi, [rsp + 8]      arguments
        0x48, 0x8d, 0x54, 0xc4, 0x10,               // lea  rdx, [rsp + rax*8 + 16]  environment
        0x48, 0x8d, 0x3d, 0x17, 0x00, 0x00, 0x00,   // lea  rdi, [rip + 23]     the path, behind this code
        0xb8, 0x3b, 0x00, 0x00, 0x00,               // mov  eax, 59             execve
        0x0f, 0x05,                                 // syscall
        0xbf, 0x7f, 0x00, 0x00, 0x00,               // mov  edi, 127            it came back
        0xb8, 0x3c, 0x00, 0x00, 0x00,               // mov  eax, 60             exit
        0x0f, 0x05,                                 // syscall
        0xcc, 0xcc, 0xcc, 0xcc,
    ];
    let path = [b"/", AGENT.as_bytes(), b"\0"].concat();
    let size = u64::from(HEADERS) + (CODE.len() + path.len()) as u64;
    let mut program = Vec::new();
    // ELF, 64 bits, little-endian, version 1.
    program.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let (executable, x86_64, version) = (2_u16, 62_u16, 1_u32);
    program.extend([executable.to_le_bytes(), x86_64.to_le_bytes()].concat());
    program.extend(version.to_le_bytes());
    let (entry, programs_at, sections_at, flags) = (BASE + u64::from(HEADERS), 64_u64, 0_u64, 0_u32);
    program.extend([entry.to_le_bytes(), programs_at.to_le_bytes(), sections_at.to_le_bytes()].concat());
    program.extend(flags.to_le_bytes());
    // The sizes of this header and of the next, of which there is one; no sections.
    for half in [64_u16, 56, 1, 64, 0, 0] {
        program.extend(half.to_le_bytes());
    }
    let (load, readable_and_executable) = (1_u32, 5_u32);
    program.extend([load.to_le_bytes(), readable_and_executable.to_le_bytes()].concat());
    // Offset, addresses, sizes, alignment.
    for word in [0, BASE, BASE, size, size, 0x1000] {
        program.extend(word.to_le_bytes());
    }
    program.extend(CODE);
    program.extend(path);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_becomes_the_agent_or_says_that_it_could_not() {
        use std::os::unix::fs::PermissionsExt as _;
        if !cfg!(target_arch = "x86_64") {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stub");
        // Another path of the same length: the shell.
        let agent = format!("/{AGENT}\0");
        let shell = format!("{}/bin/sh\0", "/".repeat(agent.len() - "/bin/sh\0".len()));
        let text = program();
        let at = text.windows(agent.len()).position(|window| window == agent.as_bytes()).unwrap();
        let mut becomes_shell = text.clone();
        becomes_shell.splice(at.., shell.bytes());
        for (program, code) in [(becomes_shell, 43), (text, 127)] {
            std::fs::write(&path, program).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let mut command = std::process::Command::new(&path);
            let status = command.args(["-c", "exit $(($1 + $two))", "sh", "41"]).env("two", "2").status();
            assert_eq!(status.unwrap().code(), Some(code));
        }
    }
}
