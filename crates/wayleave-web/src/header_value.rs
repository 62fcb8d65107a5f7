//! Values of headers that are made for each request, without an allocation for each.

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};
use http::HeaderValue;

/// Header values are cut from blocks of this size, so that a request allocates nothing.
const BLOCK_BYTES: usize = 16 * 1024;
/// As much as one value may need, such as the limits of one request.
const MOST_BYTES: usize = 2 * 1024;

thread_local! {
    static BLOCK: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(BLOCK_BYTES));
}

/// Writes a number in decimal digits.
pub(crate) fn put_number(text: &mut BytesMut, number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.put_slice(&digits[first..]);
}

/// A value that is written into a block; `None`: what was written cannot be one.
pub(crate) fn header_value(write: impl FnOnce(&mut BytesMut)) -> Option<HeaderValue> {
    BLOCK.with_borrow_mut(|block| {
        if block.capacity() < MOST_BYTES {
            block.reserve(BLOCK_BYTES);
        }
        write(block);
        HeaderValue::from_maybe_shared(block.split().freeze()).ok()
    })
}
