//! Mails to an address the link that confirms it.

use channels::Message;
use futures::future::join_all;
use runtime::{Context, Result, on, sql, text};

use super::{limits, links, links::About, recipients::Recipient, said, seconds};
use crate::notifications::senders::{Done, email};

/// Mails each address a link that confirms it. What a person must know of that, if anything, in the language of
/// the request.
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
        return Ok(Some(said(&text(
            format!(
                "The link that confirms {address} was not mailed: too many were mailed today. Test the channel \
                 tomorrow to get it."
            ),
            format!(
                "{address}의 확인 링크를 보내지 않았습니다. 오늘 보낸 메일이 너무 많습니다. 내일 채널을 테스트하면 \
                 다시 보냅니다."
            ),
        ))));
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
    let body = email::Body::new(vec![to], letter(&link));
    let sent = email::call(context, &body).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the link that confirms an address could not be mailed");
        Done::fail("The mail could not be sent right now.")
    });
    Ok(match sent.message {
        Some(why) if sent.status != "ok" => Some(said(&text(
            format!("The link that confirms {address} was not mailed. Test the channel to get it. {why}"),
            format!("{address}의 확인 링크를 보내지 못했습니다. 채널을 테스트하면 다시 보냅니다. {why}"),
        ))),
        Some(why) if why == email::WRITTEN_TO_FILE => Some(said(&text(
            email::WRITTEN_TO_FILE,
            "SMTP_URL이 설정되지 않아 메일을 보내지 않고 outbox 폴더에 파일로 저장했습니다.",
        ))),
        _ => None,
    })
}

/// It holds no words of any user: it goes to a stranger. In the language of the user who asks.
fn letter(link: &str) -> Message {
    let subject =
        text("Confirm your address for pongpong alerts", "pongpong 알림을 받을 주소를 확인해 주세요");
    let content = text(
        format!(
            "A user of pongpong, which watches web services, wants alerts to be mailed to this address.\n\n\
             If you want them, open this within 7 days, and press the button:\n{link}\n\n\
             If you do not, you need do nothing: no alerts are sent.\n"
        ),
        format!(
            "웹 서비스를 지켜보는 pongpong의 사용자가 이 주소로 장애 알림을 보내려고 합니다.\n\n\
             알림을 받으려면 7일 안에 이 링크를 열고 버튼을 누르세요:\n{link}\n\n\
             원하지 않으면 무시하셔도 됩니다. 알림을 보내지 않습니다.\n"
        ),
    );
    Message::plain(&said(&subject), &said(&content))
}
