//! What counts as an e-mail address: one that can be mailed to.

use std::str::FromStr;

/// A bare address. Quoted local parts and addresses in brackets are legal, but hardly a mail server
/// takes them, and no person has one.
pub fn is_address(address: &str) -> bool {
    // 254: the longest path that SMTP carries.
    address.len() <= 254
        && !address.contains(|c: char| c.is_control() || c.is_whitespace() || "\"<>[](),;:\\".contains(c))
        && email_address::EmailAddress::is_valid(address)
        && lettre::Address::from_str(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn what_can_be_mailed_is_an_address() {
        for good in ["a@b.co", "first.last+tag@example.com", "é@b.co", "나@example.kr"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@",
            "@b.co",
            "X <a@b.co>",
            "\"x y\"@b.co",
            "a@[127.0.0.1]",
            "a b@c.de",
            "a@b.co\r\nBcc: x@y.zw",
            "a,b@c.de",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address(&format!("{}@example.com", "x".repeat(300))));
    }
}
