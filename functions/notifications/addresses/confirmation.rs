//! Mails confirmation links to addresses.

use channels::Message;
use futures::future::join_all;
use runtime::{Context, Result, on, sql};

use super::{limits, links, links::About, recipients::Recipient, said, seconds};
use crate::notifications::{
    observe::reader_of,
    senders::{Done, email},
};
use crate::words;
use contract::Language;

/// Mails each address a confirmation link. Returns a warning for the user, if there is one, in the
/// language of the request.
pub(in crate::notifications) async fn mail_links(
    context: &Context,
    user_id: i64,
    addresses: &[String],
) -> Result<Option<String>> {
    let each = addresses.iter().map(|address| mail_link(context, user_id, address));
    let mut warnings = Vec::new();
    for warning in join_all(each).await {
        if let Some(warning) = warning?.filter(|warning| !warnings.contains(warning)) {
            warnings.push(warning);
        }
    }
    Ok((!warnings.is_empty()).then(|| warnings.join(" ")))
}

async fn mail_link(context: &Context, user_id: i64, address: &str) -> Result<Option<String>> {
    sql!(
        MAILED = "INSERT INTO notification_addresses (address, user_id, mailed_at) VALUES ($1, $2, $3)
        ON CONFLICT (address, user_id) DO UPDATE SET mailed_at = excluded.mailed_at"
    );
    if !limits::count_link(context, user_id, address).await? {
        return Ok(Some(said(words::too_many_links_mailed(address))));
    }
    let (about, now) = (About::of(user_id, address), context.clock().now());
    on!(context.db()?.write(), db => {
        sqlx::query(MAILED).bind(&about.address).bind(user_id).bind(seconds(now)).execute(db).await.map(drop)
    })?;
    let link = links::confirm(context, &about)?;
    let to = Recipient {
        address: address.to_owned(),
        number: 0,
        unsubscribe_url: Some(links::unsubscribe(context, user_id, address)?),
    };
    let reader = reader_of(context.db()?.read(), user_id).await?;
    let language = reader.map_or_else(runtime::language::current, |reader| reader.language);
    let body = email::Body::new(vec![to], letter(&link, language));
    let sent = email::call(context, &body).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the link that confirms an address could not be mailed");
        Done::fail("The mail could not be sent right now.")
    });
    Ok(match sent.message {
        Some(why) if sent.status != "ok" => Some(said(words::link_not_mailed(address, why))),
        Some(why) if why == email::WRITTEN_TO_FILE => Some(said(words::MAIL_WRITTEN_TO_FILE)),
        _ => None,
    })
}

/// Contains no text that a user entered, because the recipient may be a stranger. In the language of the
/// requesting user.
fn letter(link: &str, language: Language) -> Message {
    let content = format!("{}\n", words::confirmation_mail(link).of(language));
    Message { language, ..Message::plain(words::CONFIRMATION_MAIL_SUBJECT.of(language), &content) }
}
