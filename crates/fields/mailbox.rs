//! Which texts count as email addresses: those that can receive mail.

use std::str::FromStr;

use contract::is_invisible;

/// A bare address. Quoted local parts and addresses in brackets are legal, but hardly any mail server accepts them,
/// and no person has one.
pub fn is_address(address: &str) -> bool {
    // 254: the longest path that SMTP carries.
    address.len() <= 254
        && !address.contains(|c: char| c.is_control() || is_invisible(c) || "\"<>[](),;:\\".contains(c))
        && email_address::EmailAddress::is_valid(address)
        && lettre::Address::from_str(address).is_ok()
}

/// An address in the form in which addresses are compared: in lower case, and with its domain as DNS has it, in
/// whatever script it was written.
pub fn spelling(address: &str) -> String {
    let address = address.to_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else { return address };
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => format!("{local}@{domain}"),
        _ => address,
    }
}

/// The mailbox of an address: `me+shop@example.com` and `me@example.com` belong to one person.
pub fn mailbox(address: &str) -> String {
    let address = spelling(address);
    let (local, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
    let name = local.split('+').next().filter(|name| !name.is_empty()).unwrap_or(local);
    format!("{name}@{domain}")
}

/// `m…@example.com`
pub fn masked(address: &str) -> String {
    let (name, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    format!("{}…@{domain}", name.chars().next().unwrap_or('…'))
}

#[cfg(test)]
mod tests {
    use super::{is_address, mailbox, spelling};

    #[test]
    fn mailbox_is_one_for_all_spellings() {
        for same in ["Me+shop@Example.com", "me@ｅxample.com", "me+@EXAMPLE.COM", "me@exam\u{ad}ple.com"] {
            assert_eq!(mailbox(same), "me@example.com", "{same}");
        }
        assert_eq!(spelling("Me+a@bücher.de"), "me+a@xn--bcher-kva.de");
        assert_ne!(mailbox("you@example.com"), mailbox("me@example.com"));
        assert_ne!(mailbox("+a@example.com"), mailbox("+b@example.com"));
    }

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
            "a\u{200B}@b.co",
            "a\u{3164}@b.co",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(!is_address(&format!("{}@example.com", "x".repeat(300))));
    }
}
