//! Tests against a bus that does only what a test tells it to.

use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};

use super::*;

/// An answer with this number, as systemd's.
fn answer(number: u32) -> Vec<u8> {
    let mut message = vec![b'l', METHOD_RETURN, 1, 1, 8, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0];
    // The serial that it answers.
    message.extend([5, 1, b'u', 0, 2, 0, 0, 0]);
    message.extend([1, b'u', 0, 0]);
    message.extend(number.to_le_bytes());
    message
}

/// A message without body of this kind.
fn message(kind: u8) -> Vec<u8> {
    vec![b'l', kind, 1, 1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
}

/// Accepts one connection, expects what the agent sends, and answers each question with the next of `answers`. Returns
/// how many questions came.
fn bus(answers: Vec<Vec<u8>>) -> (SystemBus, tempfile::TempDir, JoinHandle<usize>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let receive = |peer: &mut UnixStream, expected: &[u8]| {
            let mut found = vec![0; expected.len()];
            let is_received = peer.read_exact(&mut found).is_ok();
            assert!(!is_received || found == expected, "{found:?}");
            is_received
        };
        assert!(receive(&mut peer, LOGIN));
        peer.write_all(b"DATA\r\nOK 0123456789abcdef\r\n").unwrap();
        assert!(receive(&mut peer, &encode(&HELLO)));
        // The answer to the greeting, and a signal that nobody asked for.
        peer.write_all(&message(METHOD_RETURN)).unwrap();
        peer.write_all(&message(4)).unwrap();
        let mut n_questions = 0;
        for answer in answers {
            if !receive(&mut peer, &encode(&FAILED_UNITS)) {
                break;
            }
            n_questions += 1;
            drop(peer.write_all(&answer));
        }
        n_questions
    });
    (SystemBus::new(path), directory, serving)
}

#[test]
fn one_connection_serves_all_questions() {
    let (mut bus, _directory, serving) = bus(vec![answer(0), answer(3), message(ERROR)]);
    assert_eq!(bus.failed_units(), Some(0));
    assert_eq!(bus.failed_units(), Some(3));
    assert_eq!(bus.failed_units(), None, "an error, as without systemd");
    assert_eq!(serving.join().unwrap(), 3);
}

#[test]
fn a_bus_that_does_not_answer_is_given_up_in_time() {
    let (mut bus, _directory, serving) = bus(vec![Vec::new(), answer(1)]);
    let began = Instant::now();
    assert_eq!(bus.failed_units(), None);
    assert!(TIMEOUT <= began.elapsed() && began.elapsed() < 10 * TIMEOUT);
    assert!(bus.connection.is_none(), "its late answer is not taken for the next one");
    assert_eq!(serving.join().unwrap(), 1);
}

#[test]
fn no_answer_is_too_large_or_too_strange() {
    let mut large = message(METHOD_RETURN);
    large[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut fields = message(METHOD_RETURN);
    fields[12..16].copy_from_slice(&0x0100_0000u32.to_le_bytes());
    let flood = message(4).repeat(MESSAGES_MAX + 1);
    for strange in [large, fields, flood, b"garbage, garbage".to_vec(), message(METHOD_RETURN)] {
        let (mut bus, _directory, serving) = bus(vec![strange]);
        assert_eq!(bus.failed_units(), None);
        drop(bus);
        serving.join().unwrap();
    }
}

#[test]
fn without_a_bus_there_is_no_number() {
    assert_eq!(SystemBus::new(PathBuf::from("/nowhere/bus")).failed_units(), None);
}

#[test]
fn nothing_but_constants_is_sent() {
    let text = |call| String::from_utf8_lossy(&encode(call)).replace('\0', " ");
    assert!(text(&HELLO).contains("org.freedesktop.DBus"));
    let question = text(&FAILED_UNITS);
    assert!(question.contains("Get") && question.ends_with("NFailedUnits "), "{question}");
    assert!(encode(&FAILED_UNITS).len() % 4 == 1, "the body ends with the text's zero");
    for words in ["Start", "Stop", "Set", "Reload", "Reboot", "Exec", "Kill"] {
        assert!(!question.contains(words) && !text(&HELLO).contains(words), "{words}");
    }
}
