#include "tls.hpp"

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <utility>

#include "common/test_memory.hpp"
#include "common/test_sockets.hpp"

namespace {

using Status = IoResult::Status;

/// One certificate for all of these tests: making one takes longer than most of them.
const TlsContext& shared_context() {
    static const TlsContext context;
    return context;
}

/// A client that never waits: libssl on the peer's end of a socket pair. SSL_write on a socket that
/// has lost its reader would raise SIGPIPE.
struct Client {
    explicit Client(int fd) {
        std::signal(SIGPIPE, SIG_IGN);
        REQUIRE(SSL_set_fd(ssl.get(), fd) == 1);
        SSL_set_connect_state(ssl.get());
    }

    std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> context{SSL_CTX_new(TLS_client_method())};
    std::unique_ptr<SSL, Free<SSL_free>> ssl{SSL_new(context.get())};
    Bytes received{};
    std::size_t sent = 0;
    int error = SSL_ERROR_NONE;  // of the last call that failed

    bool handshake() { return note(SSL_do_handshake(ssl.get())); }
    /// Sends on with what is left of these bytes.
    bool send(std::span<const std::byte> bytes) {
        std::size_t size = 0;
        while (sent < bytes.size() &&
               note(SSL_write_ex(ssl.get(), &bytes[sent], bytes.size() - sent, &size)))
            sent += size;
        return sent == bytes.size();
    }
    /// Changes its key, asks for ours to be changed, and sends; false: the socket is full.
    bool update_key_and_send(std::string_view text) {
        std::size_t size = 0;
        SSL_key_update(ssl.get(), SSL_KEY_UPDATE_REQUESTED);
        return note(SSL_write_ex(ssl.get(), text.data(), text.size(), &size));
    }
    /// Takes what is there, up to a limit.
    void receive(std::size_t limit = 64 << 20) {
        Bytes buffer(std::min<std::size_t>(limit, 16 * 1024));
        std::size_t size = 0;
        const std::size_t end = received.size() + limit;
        while (received.size() < end &&
               note(SSL_read_ex(ssl.get(), buffer.data(),
                                std::min(buffer.size(), end - received.size()), &size)))
            append(received, std::span{buffer}.first(size));
    }
    bool note(int result) {
        error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl.get(), result);
        return result == 1;
    }
};

/// The transport, and a client at its other end.
struct Link {
    explicit Link(const TlsContext& context = shared_context())
        : transport{std::move(pair.ours), context} {}

    SocketPair pair{};
    int ours = pair.ours.get();
    TlsTransport transport;
    Client client{pair.peer.get()};
    Bytes buffer = Bytes(64 * 1024);

    IoResult receive() { return transport.receive(buffer); }

    /// OpenSSL 3.2 and later read the header and the body of a first record in a turn each.
    Status receive_record() {
        const Status status = receive().status;
        return status == Status::want_read ? receive().status : status;
    }

    IoResult send(std::span<const std::byte> bytes) {
        const iovec slice{const_cast<std::byte*>(bytes.data()), bytes.size()};
        return transport.send({&slice, bytes.empty() ? 0U : 1U});
    }
    IoResult send(std::string_view text) { return send(std::as_bytes(std::span{text})); }
    std::string receive_text() {
        const IoResult result = receive();
        return to_text(std::span{buffer}.first(result.size));
    }

    /// Lets both ends shake hands, as far as they get; returns what the server's end says last.
    Status shake_hands() {
        Status status = Status::want_read;
        for (int turn = 0; turn < 20 && status == Status::want_read; ++turn) {
            if (client.handshake() && transport.ready()) break;
            status = receive().status;
        }
        return status;
    }
};

struct OpenLink : Link {
    explicit OpenLink(const TlsContext& context = shared_context()) : Link{context} {
        REQUIRE(shake_hands() == Status::want_read);
        REQUIRE(transport.ready());
        client.receive();  // session tickets
    }
};

using Session = std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>>;

/// What a client may come back with: not so, to OpenSSL, where a connection just breaks off.
Session new_session(const TlsContext& context) {
    const OpenLink link{context};
    SSL_set_shutdown(link.client.ssl.get(), SSL_SENT_SHUTDOWN);
    return Session{SSL_get1_session(link.client.ssl.get())};
}

bool is_resumed(const TlsContext& context, const Session& session) {
    Link link{context};
    REQUIRE(SSL_set_session(link.client.ssl.get(), session.get()) == 1);
    REQUIRE(link.shake_hands() == Status::want_read);
    REQUIRE(link.transport.ready());
    SSL_set_shutdown(link.client.ssl.get(), SSL_SENT_SHUTDOWN);
    return SSL_session_reused(link.client.ssl.get()) == 1;
}

constexpr std::time_t hour = 3600;

/// A certificate and its key in files that are gone afterwards.
struct PemFiles {
    PemFiles() {
        std::string name = (std::filesystem::temp_directory_path() / "tls_test.XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        directory = name;
        const Certificate made = make_self_signed_certificate();
        print = fingerprint(*made.x509);
        std::FILE* file = std::fopen(certificate().c_str(), "w");
        CHECK(PEM_write_X509(file, made.x509.get()) == 1);
        std::fclose(file);
        file = std::fopen(key().c_str(), "w");
        CHECK(PEM_write_PrivateKey(file, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
              1);
        std::fclose(file);
        file = std::fopen(locked_key().c_str(), "w");
        const unsigned char password[] = {'s', 'e', 'c', 'r', 'e', 't'};
        CHECK(PEM_write_PrivateKey(file, made.key.get(), EVP_aes_128_cbc(), password,
                                   sizeof password, nullptr, nullptr) == 1);
        std::fclose(file);
    }
    ~PemFiles() { std::filesystem::remove_all(directory); }

    std::string certificate() const { return directory / "certificate.pem"; }
    std::string key() const { return directory / "key.pem"; }
    std::string locked_key() const { return directory / "locked.pem"; }

    std::filesystem::path directory{};
    std::string print{};
};

std::string complaint(const std::string& certificate, const std::string& key) {
    try {
        const TlsContext context{certificate, key};
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "none";
}

}  // namespace

TEST_CASE("a client shakes hands, and gets the certificate that was announced") {
    Link link;
    CHECK(!link.transport.ready());
    CHECK(link.receive().status == Status::want_read);
    CHECK(link.shake_hands() == Status::want_read);
    CHECK(link.transport.ready());
    CHECK(!link.transport.has_unsent());
    const X509* const certificate = SSL_get0_peer_certificate(link.client.ssl.get());
    REQUIRE(certificate != nullptr);
    CHECK(fingerprint(*certificate) == shared_context().fingerprint());
    CHECK(std::string{SSL_get_version(link.client.ssl.get())} == "TLSv1.3");
}

TEST_CASE("TLS 1.2 is spoken too, with forward secrecy; nothing older is (RFC 8996)") {
    Link link;
    SSL_set_max_proto_version(link.client.ssl.get(), TLS1_2_VERSION);
    CHECK(link.shake_hands() == Status::want_read);
    CHECK(link.transport.ready());
    CHECK(std::string{SSL_get_cipher_name(link.client.ssl.get())}.starts_with("ECDHE-"));

    Link old;
    SSL_set_security_level(old.client.ssl.get(), 0);
    SSL_set_min_proto_version(old.client.ssl.get(), TLS1_VERSION);
    SSL_set_max_proto_version(old.client.ssl.get(), TLS1_1_VERSION);
    CHECK(old.shake_hands() == Status::broken);
    CHECK(!old.transport.ready());
}

TEST_CASE(
    "of the ciphers that a client offers, the cheapest: ChaCha20 if it says so, else AES-128") {
    const auto agreed = [](int version, const char* offered) {
        Link link;
        SSL* client = link.client.ssl.get();
        SSL_set_max_proto_version(client, version);
        const bool newest = version == TLS1_3_VERSION;
        CHECK((newest ? SSL_set_ciphersuites : SSL_set_cipher_list)(client, offered) == 1);
        link.shake_hands();
        return std::string{SSL_get_cipher_name(client)};
    };
    CHECK(agreed(TLS1_3_VERSION,
                 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256") ==
          "TLS_AES_128_GCM_SHA256");
    CHECK(agreed(TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256") ==
          "TLS_CHACHA20_POLY1305_SHA256");
    CHECK(agreed(TLS1_2_VERSION, "ECDHE+AESGCM:ECDHE+CHACHA20") == "ECDHE-ECDSA-AES128-GCM-SHA256");
    CHECK(agreed(TLS1_2_VERSION, "ECDHE+CHACHA20:ECDHE+AESGCM") == "ECDHE-ECDSA-CHACHA20-POLY1305");
}

TEST_CASE("of the protocols that a client offers, HTTP/1.1 is taken (RFC 7301)") {
    const auto offer = [](Link& link, std::string_view names) {
        SSL_set_alpn_protos(link.client.ssl.get(),
                            reinterpret_cast<const unsigned char*>(names.data()),
                            static_cast<unsigned>(names.size()));
        return link.shake_hands();
    };
    Link link;
    CHECK(offer(link, "\x02h2\x08http/1.1") == Status::want_read);
    const unsigned char* selected = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(link.client.ssl.get(), &selected, &size);
    CHECK(std::string(selected, selected + size) == "http/1.1");

    Link other;
    CHECK(offer(other, "\x02h2") == Status::broken);
}

TEST_CASE("what is sent comes through, both ways") {
    OpenLink link;
    CHECK(link.client.send(to_bytes("hello")));
    CHECK(link.receive_text() == "hello");
    CHECK(link.send("world").size == 5);
    link.client.receive();
    CHECK(to_text(link.client.received) == "world");
    CHECK(link.receive().status == Status::want_read);
}

TEST_CASE("slices leave in their order, as few records as bytes allow") {
    OpenLink link;
    Bytes hello = to_bytes("hello ");
    Bytes world = to_bytes("world");
    const iovec slices[] = {{hello.data(), 6}, {nullptr, 0}, {world.data(), 5}};
    const IoResult result = link.transport.send(slices);
    CHECK(result.size == 11);
    CHECK(result.status == Status::done);
    link.client.receive();
    CHECK(to_text(link.client.received) == "hello world");
}

TEST_CASE("200 KiB go to and fro, through small buffers and sockets that are soon full") {
    OpenLink link;
    shrink(link.ours);
    shrink(link.pair.peer.get());
    link.buffer.resize(1000);
    const Bytes bytes = pattern(200 * 1024);
    Bytes waiting;
    std::size_t full = 0;
    for (int turn = 0; turn < 100'000 && link.client.received.size() < bytes.size(); ++turn) {
        link.client.send(bytes);
        const IoResult in = link.receive();
        append(waiting, std::span{link.buffer}.first(in.size));
        const IoResult out = link.send(waiting);
        if (out.status == Status::want_write || link.transport.has_unsent()) ++full;
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(out.size));
        link.client.receive(500);  // slower than it sends
    }
    CHECK(full > 0);
    CHECK(link.client.received == bytes);
    CHECK(waiting.empty());
    CHECK(!link.transport.has_unsent());
}

TEST_CASE("connections take turns, and what waits of one is not sent to another") {
    OpenLink links[2];
    Bytes bytes[2] = {pattern(300'000), pattern(299'999)};
    std::ranges::reverse(bytes[1]);
    std::size_t sent[2] = {};
    for (OpenLink& link : links) shrink(link.ours);
    for (int turn = 0; turn < 10'000; ++turn) {
        const auto i = static_cast<std::size_t>(turn % 2);
        links[i].client.receive(20'000);
        sent[i] += links[i].send(std::span{bytes[i]}.subspan(sent[i])).size;
    }
    for (const std::size_t i : {0U, 1U}) CHECK(links[i].client.received == bytes[i]);
}

TEST_CASE("a read that fills the buffer says that there may be more: epoll can't see it") {
    OpenLink link;
    link.buffer.resize(100);
    CHECK(link.client.send(pattern(250)));
    for (const std::size_t size : {100U, 100U}) {
        const IoResult result = link.receive();
        CHECK(result.size == size);
        CHECK(result.status == Status::done);
    }
    const IoResult rest = link.receive();
    CHECK(rest.size == 50);
    CHECK(rest.status == Status::want_read);
}

TEST_CASE("a client that does not read makes the server wait, with a bounded amount gathered") {
    OpenLink link;
    shrink(link.ours);
    const Bytes bytes = pattern(1 << 20);
    std::size_t sent = 0;
    IoResult part = link.send(bytes);
    CHECK(part.status == Status::want_write);
    for (; part.size > 0; part = link.send(std::span{bytes}.subspan(sent))) sent += part.size;
    CHECK(sent > 0);
    CHECK(sent < 200'000);
    CHECK(link.transport.has_unsent());

    for (int turn = 0; turn < 10'000 && link.client.received.size() < bytes.size(); ++turn) {
        link.client.receive(20'000);
        sent += link.send(std::span{bytes}.subspan(sent)).size;
    }
    CHECK(link.client.received == bytes);
    CHECK(!link.transport.has_unsent());
}

TEST_CASE("one call sends on while the socket takes it, however much gathers at a time") {
    OpenLink link;
    const Bytes bytes = pattern(150'000);
    const IoResult result = link.send(bytes);
    CHECK(result.size == bytes.size());
    CHECK(result.status == Status::done);
    link.client.receive();
    CHECK(link.client.received == bytes);
}

TEST_CASE("an idle connection keeps no buffers") {
    OpenLink link;
    const Bytes bytes = pattern(50'000);
    const std::size_t before = allocated();
    CHECK(link.send(bytes).size == bytes.size());
    CHECK(allocated() < before + 1000);

    const std::size_t filled = fill(link.ours);
    const std::size_t sent = link.send(bytes).size;
    CHECK(allocated() > before + sent);
    pull(link.pair.peer.get(), filled);
    link.send("");
    CHECK(allocated() < before + 1000);
}

TEST_CASE("what waits is sent by a call with nothing") {
    OpenLink link;
    const std::size_t filled = fill(link.ours);
    CHECK(link.send("hello").size == 5);
    CHECK(link.transport.has_unsent());
    CHECK(pull(link.pair.peer.get(), filled).size() == filled);
    CHECK(link.send("").status == Status::done);
    CHECK(!link.transport.has_unsent());
    link.client.receive();
    CHECK(to_text(link.client.received) == "hello");
}

TEST_CASE("KeyUpdates of a client that does not read are answered when it does (RFC 8446 §4.6.3)") {
    OpenLink link;
    shrink(link.ours);
    bool wants_write = false;
    for (int i = 0; i < 20'000 && !wants_write; ++i) {
        REQUIRE(link.client.update_key_and_send("x"));
        wants_write = link.receive().status == Status::want_write;
    }
    CHECK(wants_write);
    for (int turn = 0; turn < 10'000 && link.transport.has_unsent(); ++turn) {
        link.client.receive();
        REQUIRE(link.send("").status != Status::broken);
    }
    CHECK(link.send("still here").size == 10);
    link.client.receive();
    CHECK(to_text(link.client.received) == "still here");
}

TEST_CASE("KeyUpdates meet an output that is full, or has just room for them") {
    OpenLink link;
    shrink(link.ours);
    const Bytes bytes = pattern(4 << 20);
    std::size_t sent = 0;
    std::size_t updates = 0;
    for (unsigned turn = 0; sent < bytes.size(); ++turn) {
        REQUIRE(turn < 1'000'000);
        updates += link.client.update_key_and_send("x");
        REQUIRE(link.receive().status != Status::broken);
        const IoResult out = link.send(std::span{bytes}.subspan(sent));
        REQUIRE(out.status != Status::broken);
        sent += out.size;
        if (turn % 5 == 0) link.client.receive(turn % 997);  // slower than we send
    }
    CHECK(updates > 100);
    for (int turn = 0; turn < 10'000 && link.client.received.size() < sent; ++turn) {
        link.client.receive();
        link.send("");
    }
    CHECK(link.client.received == bytes);
}

TEST_CASE("a turn reads a bounded number of records, and says that there are more") {
    OpenLink link;
    constexpr std::size_t count = 200;
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t size = 0;
        REQUIRE(SSL_write_ex(link.client.ssl.get(), "x", 1, &size) == 1);
    }
    std::size_t turns = 0;
    std::size_t came = 0;
    while (came < count && turns < count) {
        const IoResult result = link.receive();
        CHECK(result.size <= 64);
        came += result.size;
        if (came < count) CHECK(result.status == Status::done);
        ++turns;
    }
    CHECK(came == count);
    CHECK(turns >= count / 64);
}

TEST_CASE("a turn reads the socket once, however fast the bytes come") {
    OpenLink link;
    link.buffer.resize(512 * 1024);
    const int size = 4 << 20;
    setsockopt(link.pair.peer.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    const Bytes bytes = pattern(180'000);
    REQUIRE(link.client.send(bytes));
    const IoResult result = link.receive();
    CHECK(result.size > 0);
    CHECK(result.size <= 128 * 1024);
    CHECK(result.status == Status::want_read);  // epoll tells of the rest
    CHECK(link.receive().size > 0);
}

TEST_CASE("KeyUpdates and nothing else, one after the other, are the end") {
    OpenLink link;
    int count = 0;
    IoResult result;
    for (; count < 100 && result.status != Status::broken; ++count) {
        REQUIRE(SSL_key_update(link.client.ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        REQUIRE(link.client.handshake());
        result = link.receive();
    }
    CHECK(count == 33);
    CHECK(!link.transport.ready());
}

TEST_CASE("KeyUpdates with data between them go on for ever") {
    OpenLink link;
    for (int i = 0; i < 200; ++i) {
        REQUIRE(link.client.update_key_and_send("x"));
        REQUIRE(link.receive().size == 1);
        link.client.receive();
    }
    CHECK(link.transport.ready());
}

TEST_CASE("no finite-field group is taken, of which the largest costs 140 ms a hello") {
    for (const char* group : {"ffdhe2048", "ffdhe8192", "P-384", "P-521", "X448"}) {
        CAPTURE(group);
        Link link;
        REQUIRE(SSL_set1_groups_list(link.client.ssl.get(), group) == 1);
        CHECK(link.shake_hands() == Status::broken);
    }
    for (const char* group : {"X25519", "P-256"}) {
        CAPTURE(group);
        Link link;
        REQUIRE(SSL_set1_groups_list(link.client.ssl.get(), group) == 1);
        CHECK(link.shake_hands() == Status::want_read);
        CHECK(link.transport.ready());
    }
}

TEST_CASE("our end of stream is told with close_notify (RFC 8446 §6.1)") {
    OpenLink link;
    link.send("bye");
    CHECK(link.transport.shut_down());
    link.client.receive();
    CHECK(to_text(link.client.received) == "bye");
    CHECK(link.client.error == SSL_ERROR_ZERO_RETURN);
    CHECK(at_end(link.pair.peer.get()));

    CHECK(link.client.send(to_bytes("too late")));
    const IoResult ignored = link.receive();  // as it came: the caller discards it
    CHECK(ignored.size > 0);
    CHECK(ignored.status == Status::want_read);
    link.pair.peer.reset();
    CHECK(link.receive().status == Status::ended);
}

TEST_CASE("our end of stream waits behind what was not sent yet") {
    OpenLink link;
    const std::size_t filled = fill(link.ours);
    link.send("bye");
    CHECK(!link.transport.shut_down());
    CHECK(!link.transport.shut_down());
    CHECK(pull(link.pair.peer.get(), filled).size() == filled);
    CHECK(link.transport.shut_down());
    link.client.receive();
    CHECK(to_text(link.client.received) == "bye");
    CHECK(link.client.error == SSL_ERROR_ZERO_RETURN);
}

TEST_CASE("close_notify is not lost behind as much as may gather") {
    OpenLink link;
    shrink(link.ours);
    const Bytes bytes = pattern(1 << 20);
    const std::size_t sent = link.send(bytes).size;
    bool ended = false;
    for (int turn = 0; turn < 1000 && !ended; ++turn) {
        ended = link.transport.shut_down();
        CHECK(link.transport.has_unsent() == !ended);
        link.client.receive(10'000);
    }
    CHECK(ended);
    link.client.receive();
    CHECK(link.client.received.size() == sent);
    CHECK(link.client.error == SSL_ERROR_ZERO_RETURN);
}

TEST_CASE("the peer's end of stream is told, with close_notify or without") {
    OpenLink polite;
    polite.client.send(to_bytes("bye"));
    SSL_shutdown(polite.client.ssl.get());
    const IoResult last = polite.receive();
    CHECK(last.size == 3);
    CHECK(last.status == Status::ended);

    OpenLink curt;
    shutdown(curt.pair.peer.get(), SHUT_WR);
    CHECK(curt.receive().status == Status::ended);

    Link early;  // in the middle of the handshake
    early.client.handshake();
    early.receive();
    shutdown(early.pair.peer.get(), SHUT_WR);
    CHECK(early.receive_record() == Status::ended);
    CHECK(!early.transport.ready());
    CHECK(early.transport.shut_down());
}

TEST_CASE("a peer that is gone is told from one that has ended") {
    OpenLink reading;
    push(reading.ours, "unread");
    reading.pair.peer.reset();
    CHECK(reading.receive().status == Status::gone);

    OpenLink sending;
    sending.pair.peer.reset();
    CHECK(sending.send("hello").status == Status::gone);  // and no SIGPIPE
}

TEST_CASE("a client that speaks HTTP is told so, in HTTP, whatever its method") {
    for (const std::string method : {"GET", "HEAD", "OPTIONS", "CONNECT", "PRI"}) {
        CAPTURE(method);
        Link link;
        push(link.pair.peer.get(), method + " / HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(link.receive().status == Status::broken);
        CHECK(!link.transport.ready());
        CHECK(link.transport.shut_down());
        const std::string answer = pull_text(link.pair.peer.get());
        CHECK(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        const std::string why = "this port speaks TLS: https:// or wss://\n";
        CHECK(answer.ends_with("\r\n\r\n" + (method == "HEAD" ? "" : why)));
        CHECK(at_end(link.pair.peer.get()));
    }
}

TEST_CASE("what is not TLS breaks the transport, and gets an alert (RFC 8446 §6)") {
    Link link;
    push(link.pair.peer.get(), from_hex("16 03 01 00 05 ff ff ff ff ff"));
    CHECK(link.receive_record() == Status::broken);
    CHECK(link.transport.shut_down());
    CHECK(to_hex(pull(link.pair.peer.get())).starts_with("15 03 "));
    CHECK(at_end(link.pair.peer.get()));

    OpenLink open;  // a record that nobody with the keys has made
    push(open.pair.peer.get(), from_hex("17 03 03 00 11 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d "
                                        "0e 0f 10"));
    CHECK(open.receive().status == Status::broken);
    CHECK(!open.transport.ready());
    CHECK(open.transport.shut_down());
    open.client.receive();
    CHECK(open.client.error == SSL_ERROR_SSL);  // the alert
}

TEST_CASE("a failure of one connection is no failure of the next (ERR_clear_error(3))") {
    OpenLink fine;
    Link broken;
    push(broken.pair.peer.get(), "garbage, garbage, garbage");
    CHECK(broken.receive().status == Status::broken);
    CHECK(ERR_peek_error() == 0);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);  // as if somebody had left it there
    CHECK(fine.receive().status == Status::want_read);
    CHECK(fine.send("hello").status == Status::done);
}

TEST_CASE("a certificate and its key are read from PEM files") {
    const PemFiles files;
    const TlsContext context{files.certificate(), files.key()};
    CHECK(context.fingerprint() == files.print);
    Link link{context};
    CHECK(link.shake_hands() == Status::want_read);
    CHECK(link.transport.ready());
}

TEST_CASE("a file that is of no use is named") {
    const PemFiles files;
    const PemFiles others;
    const std::string missing = files.directory / "missing.pem";
    CHECK(complaint(missing, files.key()).starts_with("cannot use the certificate " + missing));
    CHECK(complaint(files.certificate(), missing).starts_with("cannot use the key " + missing));
    CHECK(complaint(files.key(), files.key()).starts_with("cannot use the certificate "));
    CHECK(complaint(files.certificate(), others.key()) ==
          "cannot use the key " + others.key() + ": it is the key of another certificate");
}

TEST_CASE("a key with a password is refused: nobody is there to type it") {
    const PemFiles files;
    CHECK(complaint(files.certificate(), files.locked_key()) ==
          "cannot use the key " + files.locked_key() + ": it has a password");
}

TEST_CASE("ticket keys are new every 12 hours: then an old ticket leads to a whole handshake") {
    TlsContext context;
    const std::string print = context.fingerprint();
    const std::time_t start = std::time(nullptr);
    const auto session = new_session(context);
    CHECK(is_resumed(context, session));
    CHECK(!context.renew(start + 12 * hour - 60));
    CHECK(is_resumed(context, session));

    CHECK(!context.renew(start + 12 * hour + 60));
    CHECK(!is_resumed(context, session));
    const auto next = new_session(context);
    CHECK(!context.renew(start + 24 * hour));
    CHECK(is_resumed(context, next));
    CHECK(context.fingerprint() == print);
}

TEST_CASE("a certificate that was made here is made again halfway through its life") {
    TlsContext context;
    std::string print = context.fingerprint();
    std::time_t now = std::time(nullptr);
    OpenLink before{context};
    CHECK(!context.renew(now + 15 * 24 * hour - 60));
    CHECK(context.fingerprint() == print);
    for (int times = 0; times < 2; ++times) {
        now += 16 * 24 * hour;
        CHECK(context.renew(now));
        CHECK(context.fingerprint() != std::exchange(print, context.fingerprint()));
        CHECK(!context.renew(now));
    }
    OpenLink after{context};
    CHECK(before.send("hello").status == Status::done);
    before.client.receive();
    CHECK(to_text(before.client.received) == "hello");
}

TEST_CASE("a clock that is set back is no reason to keep anything longer") {
    TlsContext context;
    const std::time_t now = std::time(nullptr);
    CHECK(!context.renew(now - 60));
    CHECK(context.renew(now - 2 * hour));
}

TEST_CASE("a certificate from files stays, for years") {
    const PemFiles files;
    TlsContext context{files.certificate(), files.key()};
    CHECK(!context.renew(std::time(nullptr) + 1000 * 24 * hour));
    CHECK(context.fingerprint() == files.print);
}
