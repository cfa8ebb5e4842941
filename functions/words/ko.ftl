### Korean: what people read of the functions, in API messages, mails and pages.
### en.ftl has the same keys in the same order. CONTRIBUTING.md says how to add or change a text.

## API messages: several resources

must-have-bytes = 1~{ $max }바이트여야 합니다
must-hold-at-most-ids = 최대 { $max }개까지 가능합니다
no-such-endpoint = 엔드포인트 { $id }을(를) 찾을 수 없습니다
no-such-event = 처리할 수 없는 이벤트입니다.

## API messages: users

too-many-keys = 키가 너무 많습니다. 먼저 하나를 삭제하세요.
wrong-email-or-password = 이메일 또는 비밀번호가 올바르지 않습니다.
must-be-e-mail-address = 이메일 주소여야 합니다
must-be-a-password = 8자 이상, 1024바이트 이하여야 합니다
must-be-time-zone = Asia/Seoul과 같은 IANA 시간대여야 합니다
email-is-taken = 이미 사용 중인 이메일입니다.
must-be-your-current-password = 비밀번호가 맞지 않습니다
too-many-passwords-at-once = 동시에 확인 중인 비밀번호가 너무 많습니다. 잠시 후 다시 시도하세요.
token-is-unknown-used-or-expired = 알 수 없거나 사용되었거나 만료된 토큰입니다
too-many-wrong-passwords = 이 계정의 비밀번호가 너무 많이 틀렸습니다. { $minutes }분 후에 다시 시도하거나, 이전에 로그인했던 곳에서 로그인하거나, 메일로 받은 링크로 비밀번호를 다시 설정하세요.
nothing-to-change = 변경할 내용이 없습니다
password-changed-keys-left = 비밀번호는 변경되었지만 다른 키를 끝내지 못했습니다. 다시 변경해 주세요.
too-many-address-changes = 이메일 주소는 48시간 동안 { $max }번까지 변경할 수 있습니다.

## API messages: endpoints

must-be-within-ten-minutes = 10분 이내여야 합니다
must-hold-at-most = { $max }개 이하여야 합니다
must-begin-with = 다음으로 시작해야 합니다: { $known }
secrets-cannot-be-opened = 더는 열 수 없는 비밀 값이 있습니다. 다시 입력해 주세요
too-many-endpoints = 엔드포인트는 { $max }개까지 만들 수 있습니다.
must-have-at-most-characters = { $max }자 이하여야 합니다
must-be-in-future = 미래의 시각이어야 합니다
too-many-maintenances = 끝나지 않은 점검은 { $max }개까지 만들 수 있습니다.
maintenance-must-end-after-start = `starts_at`보다 뒤여야 합니다
must-end-within-90-days = `starts_at`부터 90일 이내여야 합니다
maintenance-is-over = 이미 끝난 점검입니다. 새로 만들어 주세요
must-be-at-most-1000-ids = 쉼표로 구분한 1000개 이하의 id여야 합니다
too-many-settings-bytes = 엔드포인트의 설정과 검증 조건이 모두 { $stored }바이트입니다. { $max }바이트까지 가능합니다.
too-many-check-bytes = 검사의 설정과 검증 조건이 분당 { $per_minute }바이트입니다. { $max }바이트까지 가능합니다.
paused-not-checked = 일시정지되어 체크하지 않습니다.
down-since = { $since }부터 장애입니다.
waiting-for-first-check = 첫 체크를 기다리고 있습니다.
waiting-for-first-check-since-change = 설정이나 점검이 변경되어 변경 후 첫 체크를 기다리고 있습니다.
in-maintenance = 점검 중이라 체크 결과를 반영하지 않습니다.
last-check-degraded = 마지막 체크는 성공했지만 문제가 있습니다: { $message }.
last-check-succeeded = 마지막 체크가 성공했습니다.
last-check-succeeded-not-up-yet = 마지막 체크가 성공했습니다. 연속 { $needed }회 성공하면 정상이 됩니다.
# Only here: $cause
last-check-failed = 마지막 체크가 실패했습니다: { $cause } ({ $message }).
failed-in-a-row = 연속 실패 { $failures }회, { $threshold }회가 되면 장애입니다.
alert-is-withheld = 연속 실패 { $failures }회. 리전 { $region }에서 엔드포인트 대부분이 한꺼번에 연결되지 않아 알림을 보류했습니다.
last-check-missed-too-many-running = 마지막 체크를 놓쳤습니다. 실행 중인 체크가 너무 많아 다음 체크 시각까지 완료하지 못했습니다.
last-check-missed-requested-too-late = 마지막 체크를 놓쳤습니다. 요청이 다음 체크 시각보다 늦게 도착했습니다.
last-check-missed-unreadable-settings = 마지막 체크를 놓쳤습니다. 체크 설정을 읽을 수 없습니다. 설정을 다시 저장해 주세요.
last-check-missed-internal-error = pongpong의 내부 오류로 마지막 체크를 완료하지 못했습니다.
must-be-a-tag = 글자, 숫자, - _ . : / 로 1자 이상 50자 이하여야 합니다
tries-take-too-long = 모든 시도를 합해 120초를 넘을 수 없습니다

## API messages: checks

has-no-public-address = 공개 인터넷 주소가 없습니다. 여기서는 사설 주소를 체크할 수 없습니다
give-either-endpoint-id-or-url = endpoint_id와 url 중 하나를 지정하세요
must-hold-at-most-checks = { $max }개 이하여야 합니다

## API messages: reports

is-not-possible-time = 가능한 시각이 아닙니다
too-many-metrics-at-once = 동시에 처리 중인 메트릭 요청이 너무 많습니다. 잠시 후 다시 시도하세요.
must-be-a-date = 날짜(2026-03-01) 또는 일시(2026-03-01T12:00:00Z)여야 합니다
must-be-before-to = `to`보다 앞서야 합니다
must-be-a-time-zone = 시간대(Asia/Seoul)여야 합니다
must-be-1-to-100-ids = 쉼표로 구분한 1~100개의 id여야 합니다
is-in-future = 미래의 시각입니다
is-too-far-from-scheduled-at = scheduled_at과 너무 멉니다

## API messages: notifications

mail-written-to-file = SMTP_URL이 설정되지 않아 메일을 보내지 않고 outbox 폴더에 파일로 저장했습니다.
too-many-links-mailed = { $address }의 확인 링크를 보내지 않았습니다. 오늘 보낸 메일이 너무 많습니다. 내일 채널을 테스트하면 다시 보냅니다.
link-not-mailed = { $address }의 확인 링크를 보내지 못했습니다. 채널을 테스트하면 다시 보냅니다. { $why }
token-is-unknown-or-expired = 알 수 없거나 만료된 토큰입니다
must-be-one-of-kinds = 다음 중 하나여야 합니다: { $known }
too-many-notifications = 알림은 최대 { $max }개까지 만들 수 있습니다.
this-is-being-sent = 보내는 중입니다.
only-failed-is-sent-again = 실패한 전송만 다시 보낼 수 있습니다.
does-not-fit-event-type = 이벤트 유형과 맞지 않습니다
must-be-email-addresses = 1~10개의 이메일 주소여야 합니다
kind-cannot-be-changed = 변경할 수 없습니다. 새 알림을 추가하세요

## API messages: status pages

too-many-announcements = 공지는 페이지마다 최대 { $max }개까지 만들 수 있습니다.
must-be-in-this-millennium = 2000년에서 2999년 사이여야 합니다
must-end-after-start = starts_at보다 뒤여야 합니다
no-such-status-page = 상태 페이지 { $id }을(를) 찾을 수 없습니다
too-many-status-pages = 상태 페이지는 최대 { $max }개까지 만들 수 있습니다.
must-be-a-slug = 영문 소문자, 숫자, - 로 3자 이상 63자 이하여야 하며 - 로 시작하거나 끝날 수 없습니다
must-be-at-most-groups = 최대 { $max }개까지 가능합니다
must-have-at-most-endpoints = 엔드포인트는 모두 합해 최대 { $max }개까지 가능합니다
endpoint-is-on-the-page-twice = 엔드포인트 { $id }이(가) 페이지에 두 번 있습니다
slug-is-taken = 이미 사용 중인 주소입니다.
changed-meanwhile = 그 사이 변경되었습니다. 다시 시도해 주세요.

## Mails

confirmation-mail-subject = pongpong 알림을 받을 주소를 확인해 주세요
confirmation-mail =
    웹 서비스를 지켜보는 pongpong의 사용자가 이 주소로 장애 알림을 보내려고 합니다.

    알림을 받으려면 7일 안에 이 링크를 열고 버튼을 누르세요:
    { $link }

    원하지 않으면 무시하셔도 됩니다. 알림을 보내지 않습니다.
password-mail-subject = pongpong 비밀번호 재설정
password-mail =
    pongpong 비밀번호를 다시 설정하려면 1시간 안에 이 링크를 여세요:
    { $link }

    요청하지 않았다면 무시하셔도 됩니다. 아무것도 바뀌지 않습니다.
address-mail-subject = pongpong 이메일 주소 변경
address-mail =
    pongpong 계정의 이메일 주소가 변경되었습니다. 이 주소는 변경 전의 주소입니다.

    직접 변경했다면 무시하셔도 됩니다.

    직접 변경하지 않았다면 48시간 안에 이 링크를 여세요. 이 주소로 되돌리고, 모든 키를 끝내고, 새 비밀번호를 설정합니다:
    { $link }

## Pages: several pages

account = 내 계정
actions = 동작
add-channel = 채널 추가
add-endpoint = 엔드포인트 추가
add-endpoint-short = 추가하기
ago = { $length } 전
all-endpoints = 모든 엔드포인트
api-docs = API 문서
at-least-8-characters = 8자 이상.
average = 평균
check-now = 지금 체크
connect = 연결
copy = 복사
delete = 삭제
deleted = 삭제했습니다.
description-optional = 설명 (선택)
email = 이메일
end-now = 지금 종료
endpoint = 엔드포인트
endpoints = 엔드포인트
failed = 실패
failing = 실패 중
first-byte = 첫 바이트
is-degraded = 주의
is-down = 장애
is-paused = 일시정지
log-in = 로그인
maintenance = 점검
name = 이름
next-try = 다음 시도
no-data = 데이터 없음
no-endpoints-to-choose = 아직 고를 엔드포인트가 없습니다.
notifications = 알림
now = 지금
ongoing = 진행 중
# Leads to the page in the other language.
other-language = English
outage = 장애
password = 비밀번호
post-announcement = 공지하기
recipient = 받는 곳
reports = 리포트
response-time = 응답 시간
save = 저장
saved = 저장했습니다.
severity-critical = 심각
severity-info = 안내
severity-warning = 주의
sign-up = 가입하기
status = 상태
status-degraded = 주의
status-down = 장애
status-maintenance = 점검 중
status-pages = 상태 페이지
status-up = 정상
switch-theme = 색상 바꾸기
theme-hint = 색상: 자동, 어둡게, 밝게
time-range = 기간
title = 제목
total = 전체
transfer = 전송
until = 종료
uptime = 가동률
when = 시각

## Pages: every page

skip-to-content = 본문으로 건너뛰기
main-navigation = 주 메뉴
log-out = 로그아웃
copied = 복사했습니다
something-went-wrong-try-again = 처리하지 못했습니다. 다시 시도해 주세요.
# The browser puts the time in.
not-responding-last-updated = pongpong이 응답하지 않습니다. 마지막 업데이트: { $time }
status-paused = 일시정지
status-unknown = 체크하지 못함
status-pending = 대기 중
time-zone = 시간대:
cancel = 취소
phases-of-check = 체크 단계
optional = (선택)
one-per-line = 한 줄에 하나씩:
masked-hint = …로 가려진 값은 다른 값을 적지 않으면 그대로 유지됩니다.
search-endpoints = 엔드포인트 검색
find = 찾기
not-all-are-listed = 일부만 표시됩니다. 다른 것을 찾는 동안에도 선택한 것은 유지됩니다.
move-up = 위로
nothing-found = 검색 결과가 없습니다.
selected-endpoints = 선택한 엔드포인트만
pager-pages = 페이지
pager-previous = 이전
pager-next = 다음
check-result = 체크 결과
nobody-will-be-alerted = 켜져 있는 알림 채널이 없어 아무에게도 알림이 가지 않습니다.
alerts-may-not-arrive = 아직 테스트한 알림 채널이 없어 알림이 가지 않을 수 있습니다.
send-a-test = 테스트 보내기
legend-up = 99.9% 이상
legend-some = 90% 이상
legend-down = 90% 미만
go-to-dashboard = 대시보드로
must-be-a-header = 이름: 값 형식이어야 합니다
header-is-there-twice = 두 번 입력했습니다
choose-at-least-one-endpoint = 하나 이상 고르거나 모두를 선택해 주세요.
one-endpoint = 엔드포인트 1개
some-endpoints = 엔드포인트 { $count }개
not-found = 찾을 수 없습니다
page-not-found = 페이지가 없거나 접근 권한이 없습니다.
too-many-requests = 요청이 너무 많습니다
wait-and-try-again = 1분 뒤에 다시 시도해 주세요.
not-allowed = 허용되지 않습니다
currently-unavailable = 지금은 사용할 수 없습니다
not-responding = pongpong이 응답하지 않습니다. 잠시 뒤에 다시 시도해 주세요.
something-went-wrong = 처리하지 못했습니다
request-was-not-accepted = 요청을 처리할 수 없습니다.
# 2 failures of the 3 that make an endpoint down.
failing-of = 실패 { $failures }/{ $threshold }회
please-log-in-again = 다시 로그인해 주세요.
form-is-too-large = 양식이 너무 크거나 중간에 끊겼습니다.
form-has-expired = 양식이 만료되었습니다. 뒤로 가서 새로고침한 뒤 다시 보내 주세요.
form-cannot-be-read = 양식을 읽을 수 없습니다.

## Pages: times, bars and charts

checks-up = 체크 { $checks }회 중 { $up }회 정상
# Up to length-in-seconds: as short as possible.
range-of-hours = { $hours }시간
range-of-days = { $days }일
length-in-days = { $count }일
length-in-hours = { $count }시간
length-in-minutes = { $count }분
length-in-seconds = { $count }초
no-checks = 체크 없음
average-of = 평균 { $time }
bar-no-checks-yet = 아직 체크가 없습니다
bar-summary = 가동률 { $uptime }: 구간 { $count }개 중 실패가 있는 구간 { $failing }개, 체크가 없는 구간 { $silent }개, 장애 { $outages }건
down-for = { $length }째 장애

## Pages: home

home-description = pongpong은 웹 서비스를 지켜보고 기록하며, 장애와 복구를 알려 드립니다.
home-headline = 사용자보다 먼저 알아차리세요.
home-introduction = pongpong은 웹 서비스를 주기적으로 체크해 기록하고, 장애와 복구를 이메일, Slack, 웹훅으로 알려 드립니다.
url-to-check = 체크할 URL
sign-up-to-monitor-it = 가입하고 모니터링하기
monitor-this-url = 이 URL 모니터링
home-phases = 시간이 어디서 쓰이는지
home-phases-text = DNS, 연결, TLS, 첫 바이트, 전송까지 모든 체크를 기록하고 차트로 보여 줍니다. 상태, 헤더, 본문, JSON을 검증합니다.
home-alerts = 장애마다 한 번, 제때 알림
home-alerts-text = 오탐을 막는 임계값, 장애와 복구에 한 번씩만 알림, 그리고 모든 발송 기록.
home-status-pages = 공유하는 상태 페이지
home-status-pages-text = 90일 기록, 공지, 예정된 점검, 피드와 배지가 있는 공개 상태 페이지.
home-serverless = 서버리스로도, 한 대로도
home-serverless-text = Kong 뒤의 Knative 함수들로, 또는 SQLite와 함께 프로그램 하나로.
certificate-until = 인증서 만료 { $date }
home-title = 사용자보다 먼저 알아차리세요

## Pages: sign up, log in, forgotten password

your-first-endpoint = 첫 엔드포인트:
forgot-password-hint = 이메일 주소를 알려 주시면 새 비밀번호를 정할 링크를 보내 드립니다.
send-link = 링크 보내기
set-new-password = 바꾸기
already-have-account = 이미 계정이 있나요?
forgot-your-password = 비밀번호를 잊으셨나요?
new-here = 처음이신가요?
back-to-login = 로그인으로 돌아가기
choose-new-password = 새 비밀번호 정하기
logged-out = 로그아웃했습니다.
link-sent = 등록된 주소라면 링크를 보내 드렸습니다. 링크는 1시간 동안 쓸 수 있습니다.
password-changed-log-in = 비밀번호를 바꿨습니다. 로그인해 주세요.

## Pages: endpoints

add-first-endpoint = 첫 엔드포인트를 추가하세요
add-first-endpoint-hint = URL만 있으면 됩니다. 지금부터 1분마다 체크하고, 결과를 여기에 보여 드립니다.
start-monitoring = 모니터링 시작
advanced-options = 모든 옵션 보기
some-figures-are-missing = 일부 수치가 빠져 있습니다. pongpong의 일부가 지금 응답하지 않습니다.
by-status = 상태별
count-all = 전체
search-by-name-or-url = 이름이나 URL로 검색
tag = 태그
all-tags = 모든 태그
sort = 정렬
search = 검색
no-matching-endpoints = 일치하는 엔드포인트가 없습니다
no-matching-endpoints-hint = 조건에 맞는 엔드포인트가 없습니다.
show-all-endpoints = 전체 보기
last-response-time = 최근 응답 시간
# After a number of endpoints: 3 up.
is-up = 정상
is-pending = 대기 중
headline-down = { $watched }개 중 { $down }개 장애
headline-degraded = { $watched }개 중 { $degraded }개 주의
headline-pending = { $watched }개 중 { $up }개 정상, { $pending }개 대기 중
headline-up = { $watched }개 모두 정상
headline-paused = 모두 일시정지
sort-problems-first = 문제 우선
# In a list of orders.
sort-by-name = 이름순
sort-newest-first = 최근 추가순
sort-least-recently-checked = 오래 확인 안 된 순

## Pages: an endpoint

opens-a-new-tab = (새 탭에서 열림)
last-checked = 마지막 체크 { $ago }
edit = 수정
pause = 일시정지
resume = 다시 시작
performance = 상태 요약
up-of-checks = { $up } / { $checks } 회
apdex-hint = 사용자 만족도 0~1: 500 ms까지 만족, 2초까지 허용, 실패는 0.
apdex-target = 500 ms 기준
# The longest response time.
max-of = 최대 { $time }
median = 중앙값
p95-hint = 체크의 95%가 이보다 빠름
p99-hint = 체크의 99%가 이보다 빠름
certificate = 인증서
certificate-expired = 만료됨
certificate-days = { $days }일
certificate-expires = 만료 { $date }
figures-cannot-be-shown-now = 지금은 수치를 볼 수 없습니다.
chart-failed-checks = 실패한 체크
chart-hint = 면은 성공한 체크의 평균입니다.
view-as-table = 표로 보기
response-times = 응답 시간
time = 시각
no-results-in-this-period = 이 기간에는 결과가 없습니다
waiting-for-next-check = 다음 체크가 곧 실행되며, 결과는 이 페이지에 저절로 나타납니다.
endpoint-is-paused = 이 엔드포인트는 일시정지 상태입니다.
check-results = 체크 결과
filter-results = 결과 고르기
all-results = 전체
no-failed-checks = 실패한 체크가 없습니다.
cannot-be-shown-now = 지금은 볼 수 없습니다.
outages-of-endpoint = 장애 내역
no-outages-recorded = 기록된 장애가 없습니다.
ended-when-paused = 일시정지로 종료
cause-unknown = 원인을 알 수 없습니다.
badges = 배지
badges-hint = README나 웹 페이지에 상태, 가동률, 응답 시간을 보여 줍니다. 주소를 아는 사람은 이름과 이 수치만 볼 수 있습니다.
create-badges = 배지 만들기
badges-range-hint = 주소의 기간은 24h, 7d, 30d, 90d로 바꿀 수 있습니다.
disable = 끄기
disable-badges-hint = 위 주소는 다시 쓸 수 없게 됩니다.
disable-badges = 배지 끄기
delete-endpoint-hint = 더 이상 체크하지 않으며, 기록과 장애 내역, 배지도 함께 사라집니다. 되돌릴 수 없습니다.
checked-at = { $at } 체크
rule-of-one-failure = { $kind }, { $every }마다 · 연속 1회 실패하면 알림
rule-of-failures = { $kind }, { $every }마다 · 연속 { $failures }회 실패하면 알림
one-assertion = 검증 1개
some-assertions = 검증 { $count }개
chart-summary = { $range } 동안의 응답 시간: 체크 { $checks }회 중 { $failed }회 실패, 절반은 { $p50 } 이내, 95%는 { $p95 } 이내.
monitoring-resumed = 다시 체크합니다.
monitoring-paused = 일시정지했습니다. 다시 시작할 때까지 체크하지 않습니다.
confirm-delete-endpoint = 이 엔드포인트를 삭제할까요?
endpoint-deleted = 엔드포인트를 삭제했습니다.
badges-disabled = 배지를 껐습니다.
badges-enabled = 배지를 켰습니다.

## Pages: the form of an endpoint

not-saved = 저장하지 않았습니다. 표시된 곳을 확인해 주세요.
what-to-check = 체크 대상
kind-of-check = 체크 종류
name-hint = 비워 두면 URL의 호스트 이름을 씁니다.
tags = 태그
tags-hint = 찾고 묶기 위한 이름. 예: shop, production
schedule = 체크 주기
check-interval = 체크 간격
check-interval-hint = 60이면 1분마다. 10초부터 86400초(하루)까지.
# After the input of a number.
unit-seconds = 초
timeout = 제한 시간
timeout-hint = 10000이면 10초. 체크 전체에 걸리는 시간입니다.
enabled = 사용
enabled-hint = 끄면 일시정지되며 기록은 남습니다.
what-counts-as-up = 정상 판정 기준
add-response-assertions = 응답 내용도 검증하기
assertions-hint = 맞지 않으면 장애 또는 주의로 봅니다. JSON 값은 글자 또는 JSON(42, true, "42")으로 적습니다.
assertion = 검증 { $number }
fact = 검증 대상
assertion-path-example = $.경로 또는 헤더
assertion-path-label = JSONPath 또는 헤더 이름
comparison = 비교
part-value = 값
value = 값
if-it-does-not-hold = 맞지 않으면
remove-assertion = 검증 삭제 { $number }
add-assertion = 검증 추가
alerting = 알림 조건
retries = 재시도
retries-hint = 실패로 판정하기 전에 곧바로 이 횟수만큼 다시 시도합니다. 비워 두면 1회이며, 서버의 상태를 바꿀 수 있는 체크는 0회입니다.
unit-times = 회
down-after = 장애 판정 기준
down-after-hint = 체크가 연속으로 이 횟수만큼 실패하면 알립니다.
unit-failed-checks = 회 실패
up-after = 복구 판정 기준
up-after-hint = 연속으로 이 횟수만큼 성공하면 복구로 봅니다.
unit-successful-checks = 회 성공
alerts-go-to = 알림을 받을 곳:
kind-settings = { $kind } 설정
add = 추가
test = 테스트
test-hint = 테스트는 이 설정으로 한 번 체크만 하고 저장하지 않습니다.
choose-a-fact = 무엇을 검증할지 고르세요
must-be-whole-number = 정수여야 합니다
edit-endpoint = 엔드포인트 수정
checked-just-now = 방금 체크함
# Before an error of an assertion: header: must be ...
part-header = 헤더
part-comparison = 비교
# Between a fact and a value: status equals 200.
comparison-equals = 같음
comparison-is-not = 다름
comparison-contains = 포함
comparison-does-not-contain = 포함하지 않음
comparison-matches = 정규식과 일치
comparison-does-not-match = 정규식과 불일치
comparison-exists = 있음
comparison-does-not-exist = 없음
endpoint-added = 추가했습니다. 곧 첫 체크를 합니다.
kind-by-url = URL에 따르면 { $kind } 종류의 체크입니다. 설정을 확인한 뒤 계속하세요.

## Pages: notification channels

channel-off = 꺼짐
send-test = 테스트 보내기
switch-off = 끄기
switch-on = 켜기
addresses-without-alerts = 알림을 받지 않는 주소
addresses-without-alerts-hint = 주소로 보낸 메일의 링크를 열면 확인됩니다. ‘테스트 보내기’를 누르면 링크를 다시 보냅니다.
test-sent-with-problems = 테스트했습니다. 문제가 있습니다:
test-sent = 보냈습니다
test-accepted = 테스트 알림을 보냈습니다. 도착했는지 확인해 보세요.
test-not-sent = 보내지 못했습니다
response-from-channel = 채널이 이렇게 답했습니다:
shown-only-once = 지금 한 번만 보여 드립니다
signing-secret-hint = 서명을 확인할 서버에 보관하세요.
change-type = 다른 종류
channel-example = 당직
all-endpoints-and-new-ones = 앞으로 추가할 것을 포함한 모든 엔드포인트
alert-when-degraded = 인증서 만료 임박처럼 주의가 필요할 때도 알리기
alert-about-open-outages = 지금 장애 중인 것도 알리기
delete-channel = 이 채널 삭제
delete-channel-hint = 더 이상 알림을 보내지 않으며, 발송 기록도 함께 삭제됩니다.
confirm-delete-channel = 이 채널과 발송 기록을 삭제할까요?
no-alert-channels-yet = 아직 알림을 받는 곳이 없습니다
no-alert-channels-yet-hint = 채널을 추가하면 장애와 복구를 알려 드립니다.
add-first-channel = 첫 채널 추가
channels = 채널
applies-to = 대상
state = 상태
channel-on = 켜짐
region-outage = 리전 장애
recovered = 복구됨
still-failing = 계속 실패
one-more-change = 변경 1건 더
more-changes = 변경 { $count }건 더
not-confirmed = 확인되지 않음
unsubscribed = 수신 거부됨
channel-added-confirm = 채널을 추가했습니다. 새 주소로 확인 링크를 보냅니다. 확인한 뒤부터 알림을 보냅니다.
channel-added-send-test = 채널을 추가했습니다. 테스트를 보내 도착하는지 확인해 보세요.
channel-enabled = 채널을 켰습니다.
channel-disabled = 채널을 껐습니다. 알림을 보내지 않습니다.
channel-deleted = 채널을 삭제했습니다.
sending-again = 다시 보내고 있습니다.

## Pages: delivery log

delivery-log = 발송 기록
filter-by-status = 상태로 거르기
all-deliveries = 모두
delivery-sending = 보내는 중
delivery-delivered = 전달됨
delivery-superseded = 대체됨
no-deliveries-yet = 아직 보낸 알림이 없습니다. 장애나 복구가 있으면 알림마다 결과와 함께 여기에 나타납니다.
no-matching-deliveries = 해당하는 기록이 없습니다.
show-all-deliveries = 모두 보기
message = 내용
result = 결과
delivery-written-to-file = 파일로 저장됨
superseded-hint = 이후 알림에 포함되었거나 더 이상 유효하지 않습니다.
attempt = 시도 { $number }
send-again = 다시 보내기

## Pages: confirm an address, unsubscribe

address-confirmed = 확인되었습니다. 이제 알림을 메일로 보냅니다.
each-mail-has-a-link = 모든 메일에 수신 거부 링크가 있습니다.
confirm-address-introduction = pongpong 사용자가 이 링크를 받은 주소로 서비스 장애 알림을 보내려고 합니다.
confirm-address-or-close = 원하지 않으면 이 페이지를 닫으세요. 아무것도 보내지 않습니다.
confirm-address-button = 네, 알림을 받겠습니다
address-unsubscribed = 더 이상 메일을 보내지 않습니다.
address-subscribed = 다시 메일을 보낼 수 있습니다.
unsubscribe-from-all-introduction = 이 pongpong의 다른 모든 사용자가 보내는 메일도 지금부터 모두 거부하기:
unsubscribe-from-all = 모든 메일 거부
subscribe-again = 되돌리기: 메일을 다시 받겠습니다
unsubscribe-introduction = 알림은 한 pongpong 사용자가 보냅니다. 이 사용자의 메일만, 또는 모든 사용자의 메일을 거부할 수 있습니다.
unsubscribe-from-sender = 이 사용자의 메일 거부
confirm-address-title = 주소 확인
unsubscribe-title = 메일 수신 거부
link-is-invalid = 올바르지 않거나 만료된 링크입니다.

## Pages: reports

range-start = 시작일
range-end = 종료일
any-status = 모두
show-reports = 보기
first-1000-endpoints-hint = 처음 1,000개만 표시합니다. 나머지는 각 엔드포인트 페이지에서 볼 수 있습니다.
no-endpoints-yet = 아직 엔드포인트가 없습니다
no-endpoints-yet-hint = 엔드포인트를 추가하면 1분 뒤 결과가 여기에 나타납니다.
checks = 체크
results-maintenance-included = 결과 (점검 포함)
failed-results = 실패한 결과
outages = 장애
by-day = 날짜별
by-endpoint = 엔드포인트별
summary = 요약
day = 날짜
no-outages-in-this-period = 이 기간에는 장애가 없습니다.
outage-started = 시작
outage-ended = 끝
outage-duration = 지속 시간
outage-cause = 원인
status-ongoing = 진행 중
results = 결과
download-csv = CSV 내려받기
csv-is-not-whole = 파일에는 최근 100,000개만 담깁니다. 더 필요하면 기간을 나누세요.
no-matching-results = 해당하는 결과가 없습니다. 날짜나 상태를 바꿔 보세요.
phases = 단계
result-in-maintenance = 점검

## Pages: maintenance

maintenance-is-past = 지남
scheduled = 예정
maintenance-example = 데이터베이스 업그레이드
maintenance-title-hint = 제목과 설명은 상태 페이지에 표시됩니다.
maintenance-begins = 시작
maintenance-ends = 끝
maintenance-times-hint = 최대 90일. 시작과 끝은 약 1분 안에 적용됩니다.
during-maintenance = 점검 중에는
during-maintenance-checks = 체크는 계속되고 결과는 점검으로 표시되어 남습니다.
during-maintenance-alerts = 알림을 보내지 않으며, 장애가 시작되거나 끝나지 않습니다.
during-maintenance-uptime = 가동률과 응답 시간에서 제외됩니다.
during-maintenance-outages = 점검 중에 고장 나 끝난 뒤에도 그대로면 그때 알려 드립니다. 점검 전에 알려 드린 장애는 끝난 뒤 체크가 성공해야 복구로 봅니다.
delete-maintenance = 이 점검 삭제
delete-maintenance-hint = 더 이상 표시되지 않습니다. 이미 점검으로 표시된 결과는 그대로입니다.
confirm-delete-maintenance = 이 점검을 삭제할까요?
schedule-maintenance = 점검 예약
maintenance-introduction = 점검 중에도 체크는 계속되지만 알림을 보내지 않고 가동률에서 제외하며, 상태 페이지에 표시합니다.
no-maintenance-scheduled = 예약된 점검이 없습니다
no-maintenance-scheduled-hint = 일부러 서비스를 멈출 때는 미리 예약하세요. 불필요한 알림이 가지 않습니다.
schedule-first-maintenance = 첫 점검 예약
in-progress = 진행 중
past-maintenance = 지난 점검
enter-date-and-time = 2026-03-01T12:00처럼 날짜와 시각을 적어 주세요.
maintenance-scheduled = 예약했습니다. 시작 후 약 1분 안에 적용됩니다.
maintenance-ended = 종료했습니다. 약 1분 안에 체크가 다시 집계됩니다.

## Pages: status pages

view-page = 페이지 보기
hidden = 비공개
announcements = 공지
announcements-hint = 장애 상황이나 예정된 변경을 방문자에게 알려 보세요.
status-page-example = 우리 가게
address = 주소
slug-hint = 영문 소문자, 숫자, -. 비워 두면 추측할 수 없는 주소를 만듭니다.
status-page-is-public = 공개: 주소를 아는 누구나 볼 수 있습니다
endpoints-in-groups = 그룹별 엔드포인트
endpoints-in-groups-hint = 이름과 상태만 보이며 URL은 공개되지 않습니다.
group = 그룹 { $number }
heading-optional = 이름 (선택)
group-example = 웹사이트
move-this-group-up = 그룹 위로
remove-this-group = 그룹 빼기
add-group = 그룹 추가
delete-status-page = 이 페이지 삭제
delete-status-page-hint = 주소가 더 이상 열리지 않으며 공지도 함께 삭제됩니다.
confirm-delete-status-page = 이 상태 페이지를 삭제할까요?
create-status-page = 상태 페이지 만들기
no-status-pages-yet = 아직 공유한 페이지가 없습니다
no-status-pages-yet-hint = 상태 페이지는 주소를 아는 누구에게나 고른 엔드포인트의 상태와 90일 기록, 장애, 공지를 보여 줍니다.
create-first-status-page = 첫 페이지 만들기
public = 공개
announce = 공지하기
status-page-created = 상태 페이지를 만들었습니다.
status-page-deleted = 페이지를 삭제했습니다.

## Pages: announcements

announcement-example = 결제가 느립니다
text-optional = 내용 (선택)
severity = 심각도
shown-from = 표시 시작
until-optional = 표시 끝 (선택)
announcement-end-hint = 끝을 비워 두면 직접 끝낼 때까지 표시됩니다.
delete-announcement = 이 공지 삭제
delete-announcement-hint = 페이지 기록에서도 사라집니다.
confirm-delete-announcement = 이 공지를 삭제할까요?
announced = 공지했습니다.
ended = 종료했습니다.

## Pages: a status page in public, and its feeds

as-of = 기준 시각
one-service-is-down = 서비스 하나에 장애가 있습니다
services-are-down = 서비스 { $count }개에 장애가 있습니다
down-for-length = 지속 { $length }
since = 시작
shown-since = 시작
services = 서비스
history-90-days-ago = 90일 전
response = 응답
today = 오늘
planned-maintenance = 예정된 점검
history = 지난 기록
earlier-history = 90일 전까지의 기록
monitored-by = 모니터링:
no-incidents = 보고된 장애가 없습니다.
has-recovered = 복구
it-was-down-for = { $length } 동안 장애였습니다. { $cause }.
# A date, as strftime writes it.
date-format = %Y년 %-m월 %-d일
severity-information = 안내
of-checks = 체크 { $checks }회 중 { $uptime }
service-no-checks-yet = 아직 체크 기록이 없습니다
days-without-failures = 90일 가동률 { $uptime }, 실패한 체크 없음
days-with-failures = 90일 가동률 { $uptime }, 실패가 있던 날: { $count }일. { $list }
everything-on-this-page = 이 페이지의 모든 항목
overall-up = 모든 서비스가 정상입니다
overall-degraded = 일부 서비스에 주의가 필요합니다
overall-partly-down = 일부 서비스에 장애가 있습니다
overall-down = 모든 서비스에 장애가 있습니다
overall-maintenance = 점검 중입니다
overall-unknown = 아직 확인된 것이 없습니다

## Pages: account

member-since = 가입 { $date }
api-keys = API 키
your-new-key = 새 키
your-new-key-hint = 지금 복사하세요. 다시 보여 드리지 않습니다. ‘apikey’ 헤더로 보내면 됩니다.
api-keys-hint = 프로그램과 터미널 클라이언트 ‘pong’, 그리고 다음에서 씁니다:
api-keys-access = 키는 내가 할 수 있는 모든 일을 할 수 있습니다. 프로그램마다 따로 만드세요.
no-api-keys-yet = 아직 키가 없습니다. 아래에서 만들어 보세요.
created = 생성일
expires = 만료
never = 무기한
revoke-key = 키 폐기
name-of-new-key = 새 키 이름
key-example = 노트북
expires-after = 유효 기간
after-30-days = 30일
after-90-days = 90일
after-1-year = 1년
create-key = 키 만들기
email-hint = 로그인과 비밀번호 재설정에 씁니다. 장애 알림은 알림 채널에 적은 곳으로 갑니다.
new-address = 새 주소
current-password = 현재 비밀번호
change-address = 주소 바꾸기
new-password-hint = 비밀번호를 바꾸면 다른 모든 로그인과 API 키가 끝나며, 여기서는 로그인이 유지됩니다.
new-password = 새 비밀번호
change-password = 비밀번호 바꾸기
language-of-messages = 메시지 언어
language-of-messages-hint = 알림의 언어와 시간대, 그리고 계정 관련 메일의 언어입니다.
language-of-messages-changed = 메시지의 언어와 시간대를 변경했습니다.
time-zone-of-messages = 시간대
time-zone-of-messages-hint = Asia/Seoul, Europe/Berlin, UTC와 같은 IANA 이름입니다.
language-and-theme = 언어와 색상
language-and-theme-hint = 이 브라우저에만 저장됩니다.
language = 언어
english = English
korean = 한국어
theme = 색상
theme-system = 시스템 설정
theme-light = 밝게
theme-dark = 어둡게
delete-account = 계정 삭제
delete-account-hint = 모든 엔드포인트, 결과, 채널, 상태 페이지, 키가 함께 삭제되며 되돌릴 수 없습니다.
type-email-to-confirm = 확인을 위해 이메일 주소를 입력하세요
confirm-delete-account = 계정과 모든 데이터를 삭제할까요?
delete-account-permanently = 계정을 영구 삭제
email-address-changed = 이메일 주소를 바꿨습니다.
password-changed = 비밀번호를 바꿨습니다. 다른 키와 로그인은 모두 끝났습니다.
key-revoked = 키를 삭제했습니다. 더 이상 쓸 수 없습니다.
not-your-email-address = 내 이메일 주소가 아닙니다.
account-deleted = 계정과 모든 데이터를 삭제했습니다.

## Pages: API documentation

docs-introduction = pongpong의 모든 기능은 프로그램으로도 쓸 수 있습니다. OpenAPI로 기술된 HTTP JSON API입니다.
# One sentence with links, up to docs-authorize.
docs-to-try-requests = 여기서 요청을 보내 보려면:
docs-make-a-key = API 키를 만들고
docs-authorize = , ‘Authorize’를 눌러 키를 붙여 넣은 뒤 원하는 기능에서 ‘Try it out’을 누르세요. 키는 이 페이지에만 있고 떠나면 사라집니다.
# One sentence with links, up to docs-to-get-a-key.
docs-sign-up = 가입
docs-or = { " " }또는{ " " }
docs-log-in = 로그인
docs-to-get-a-key = 하면 키를 만들어 여기서 요청을 보내 볼 수 있습니다.
docs-needs-javascript = 대화형 문서는 JavaScript가 필요합니다. 같은 내용이 여기에 있습니다:
docs-reference = 레퍼런스
