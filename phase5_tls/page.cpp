#include "page.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "common/base64.hpp"

namespace {

constexpr std::string_view html = R"(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>WebSocket echo</title>
<link rel="icon" href="data:,">
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem;
         color: #1c2733; background: #f6f8fa; }
  h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
  code { background: #e7ecf0; padding: .1rem .3rem; border-radius: .2rem; }
  #state::before { content: "\25CF\00A0"; color: #b8860b; }
  #state.open::before { color: #1a7f37; }
  #state.closed::before { color: #b42318; }
  form { display: flex; gap: .5rem; margin: 1rem 0; }
  input { flex: 1; font: inherit; padding: .5rem; border: 1px solid #aab4be; border-radius: .3rem; }
  button { font: inherit; padding: .5rem 1.2rem; border: 0; border-radius: .3rem; color: #fff;
           background: #0b5cad; }
  button:disabled { background: #8a97a3; }
  ol { list-style: none; margin: 0; padding: .5rem 1rem; background: #fff; min-height: 8rem;
       border: 1px solid #d5dce2; border-radius: .3rem; }
  li { overflow-wrap: anywhere; display: flow-root; }
  li.sent::before { content: "\2192\00A0"; color: #0b5cad; }
  li.echo::before { content: "\2190\00A0"; color: #1a7f37; }
  small { color: #5b6875; float: right; }
  #state { margin-left: .5rem; }
</style>
<h1>WebSocket echo</h1>
<p><code id="url"></code> <span id="state" role="status">connecting</span></p>
<form><input id="text" aria-label="Message" autocomplete="off" placeholder="Say something">
<button disabled>Send</button></form>
<ol id="log" aria-live="polite"></ol>
<script>
  const at = id => document.getElementById(id);
  const url = location.origin.replace(/^http/, 'ws') + '/';
  const socket = new WebSocket(url);
  const sentAt = [];
  at('url').textContent = url;
  function show(kind, text, note) {
    const line = at('log').appendChild(document.createElement('li'));
    line.className = kind;
    line.textContent = text;
    if (note) line.appendChild(document.createElement('small')).textContent = '  ' + note;
  }
  function state(name, text) {
    at('state').className = name;
    at('state').textContent = text;
    document.querySelector('button').disabled = name !== 'open';
  }
  function send(text) {
    sentAt.push(performance.now());
    show('sent', text);
    socket.send(text);
  }
  socket.onopen = () => { state('open', 'open'); send('Hello over ' + socket.url.split(':')[0]); };
  socket.onmessage = event =>
    show('echo', event.data, (performance.now() - sentAt.shift()).toFixed(1) + ' ms');
  socket.onclose = event =>
    state('closed', 'closed: ' + event.code + (event.reason ? ', ' + event.reason : ''));
  document.querySelector('form').onsubmit = event => {
    event.preventDefault();
    if (socket.readyState === WebSocket.OPEN) send(at('text').value);
    at('text').value = '';
  };
  at('text').focus();
</script>
</html>
)";

/// The path of a target in origin or absolute form (RFC 9112 §3.2), without its query.
std::string_view path_of(std::string_view target) {
    if (!target.starts_with('/')) {
        const auto authority = target.find("://") + 3;
        target.remove_prefix(std::min(target.find_first_of("/?", authority), target.size()));
    }
    const std::string_view path = target.substr(0, target.find('?'));
    return path.empty() ? "/" : path;
}

/// What stands between these two tags is let run or shown, and nothing else that somebody may have
/// got into the page (Content Security Policy Level 3, §2.3.1).
std::string hash_of(std::string_view opening, std::string_view closing) {
    const auto begin = html.find(opening) + opening.size();
    const std::string_view text = html.substr(begin, html.find(closing) - begin);
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    if (!SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data()))
        throw std::runtime_error{"SHA256: libcrypto failed"};
    return "'sha256-" + base64_encode(digest) + "'";
}

/// The page needs its own script and style, and its own server; nothing else is let in, and no
/// other page may put it into a frame.
std::string make_page_fields() {
    return "Content-Type: text/html; charset=utf-8\r\n"
           "Content-Length: " +
           std::to_string(html.size()) +
           "\r\n"
           "Content-Security-Policy: default-src 'none'; img-src data:; connect-src 'self'; "
           "script-src " +
           hash_of("<script>", "</script>") + "; style-src " + hash_of("<style>", "</style>") +
           "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
           "X-Content-Type-Options: nosniff\r\n"
           "Cache-Control: no-store\r\n"
           "Connection: close\r\n";
}

}  // namespace

bool wants_page(const Request& request) {
    return path_of(request.target) == "/" && !request.has_token("upgrade", "websocket");
}

std::string page_response(const Request& request) {
    if (request.method != "GET" && request.method != "HEAD")
        throw HttpError{405, "the page is for GET and HEAD (got " + request.method + ")",
                        "Allow: GET, HEAD\r\n"};
    request.require_no_content();
    static const std::string fields = make_page_fields();
    const std::string head = response_head(200, fields);
    return request.method == "HEAD" ? head : head + std::string{html};
}
