#include "tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "certificate_file.hpp"
#include "common/error.hpp"
#include "http.hpp"
#include "key_log.hpp"

using Status = IoResult::Status;

namespace {

/// What may gather before it has to leave. A record is taken whole or not at all, so there may be
/// one more of them: 16 KiB, and what encryption adds.
constexpr std::size_t max_gathered = 64 * 1024;
constexpr std::size_t max_record = 16 * 1024 + 512;

/// Of a client that does not read, the answers to its KeyUpdates may gather beyond that, up to
/// here. Then it is not read from either.
constexpr std::size_t max_unsent = max_gathered + 2 * max_record;

/// What the socket gives in a turn. A hello that comes in records of one byte costs more than its
/// size suggests.
constexpr std::size_t max_received = 128 * 1024;
constexpr std::size_t max_hello = 4 * 1024;

/// Records without data that may come in a row: KeyUpdates, mostly, and each costs two keys.
constexpr int max_useless = 32;

/// What has failed before must not be taken for a failure of the call to come (SSL_get_error(3)).
/// It looks first: clearing a queue that is empty costs a tenth of encrypting a short record.
void clear_errors() {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

/// ALPN (RFC 7301): an opening handshake is an HTTP/1.1 request; a client that can't speak that is
/// told so now rather than later.
int select_protocol(SSL*, const unsigned char** selected, unsigned char* selected_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
    static constexpr std::string_view ours = "\x08http/1.1";
    const int result = SSL_select_next_proto(const_cast<unsigned char**>(selected), selected_size,
                                             reinterpret_cast<const unsigned char*>(ours.data()),
                                             ours.size(), offered, offered_size);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

constexpr std::time_t hour = 3600;

/// Also when the clock was set back, by more than a certificate allows for: nothing is to be kept
/// until it has caught up.
bool is_old(std::time_t since, std::time_t age, std::time_t now) {
    return now - since >= age || since - now > hour;
}

/// A hello may name thousands of groups and key shares, and OpenSSL compares each with each: 50 ms
/// for 60 KB. Clients name less than twenty groups, and send a share or two (RFC 8446 §4.2.7-8).
int check_hello(SSL* ssl, int* alert, void*) {
    constexpr std::size_t most_groups = 128;  // bytes
    constexpr std::size_t most_shares = 4096;
    const auto size = [&](unsigned type) {
        const unsigned char* data = nullptr;
        std::size_t count = 0;
        return SSL_client_hello_get0_ext(ssl, type, &data, &count) == 1 ? count : 0;
    };
    if (size(TLSEXT_TYPE_supported_groups) <= most_groups &&
        size(TLSEXT_TYPE_key_share) <= most_shares)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_ILLEGAL_PARAMETER;
    return SSL_CLIENT_HELLO_ERROR;
}

using Context = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;

/// Those that browsers ask for. OpenSSL's own list has finite-field groups, of which ffdhe8192
/// costs 140 ms for each hello that asks for it (CVE-2002-20001). X25519MLKEM768, which holds
/// against quantum computers, is there from OpenSSL 3.5 on.
void set_groups(SSL_CTX& context) {
    if (SSL_CTX_set1_groups_list(&context, "X25519MLKEM768:X25519:P-256") == 1) return;
    ERR_clear_error();
    require(SSL_CTX_set1_groups_list(&context, "X25519:P-256") == 1, "SSL_CTX_set1_groups_list");
}

Context make_context() {
    ERR_clear_error();
    Context made{SSL_CTX_new(TLS_server_method())};
    require(made != nullptr, "SSL_CTX_new");
    SSL_CTX* context = made.get();
    require(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1,
            "SSL_CTX_set_min_proto_version");
    // Forward secrecy and authenticated encryption only (TLS 1.3 has no others). Of AES the shorter
    // key: nobody breaks it, and it costs less. ChaCha20 for those who put it first, as machines do
    // that have no instructions for AES.
    require(
        SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20") == 1,
        "SSL_CTX_set_cipher_list");
    require(SSL_CTX_set_ciphersuites(context,
                                     "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                     "TLS_CHACHA20_POLY1305_SHA256") == 1,
            "SSL_CTX_set_ciphersuites");
    set_groups(*context);
    SSL_CTX_set_client_hello_cb(context, check_hello, nullptr);
    // A peer that ends without close_notify is no truncation attack here: WebSocket has its own
    // CLOSE.
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    // A write may take a part, and be tried again from a buffer that has moved with the same bytes
    // in it; an idle connection keeps no buffers (SSL_CTX_set_mode(3)).
    // One call of SSL_read is one record, also where that holds no data, so that they can be
    // counted.
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets need no memory here
    static constexpr std::string_view id = "websocket workbook";
    require(SSL_CTX_set_session_id_context(
                context, reinterpret_cast<const unsigned char*>(id.data()), id.size()) == 1,
            "SSL_CTX_set_session_id_context");
    SSL_CTX_set_alpn_select_cb(context, select_protocol, nullptr);
    log_keys(context);
    return made;
}

}  // namespace

/// The BIO between OpenSSL and the sockets (BIO_meth_new(3)): its reads go straight through; its
/// writes gather whole records, so that several of them leave in one send. A call that cannot go on
/// says "retry", which SSL_get_error turns into WANT_READ or WANT_WRITE. There is one for all
/// connections, whatever certificate they began with, for the one whose turn it is.
struct SocketBio {
    // SSL_write may write two at once: a KeyUpdate that it still owes, and its own.
    alignas(4096) std::array<std::byte, max_gathered + 2 * max_record> records;
    std::size_t gathered = 0;  // of them
    alignas(4096) std::array<std::byte, max_received> input;
    TlsTransport* transport = nullptr;

    /// With what waits since earlier turns.
    std::size_t unsent() const { return transport->unsent_.size() + gathered; }

    static SocketBio& of(BIO* bio) { return *static_cast<SocketBio*>(BIO_get_data(bio)); }

    /// What is left of the one read of the socket in this turn, and of an earlier one before it.
    /// OpenSSL asks for a record's header, then for its body, and must not be let read ahead by
    /// itself: it would take all the KeyUpdates that it has for one.
    std::span<const std::byte> received;

    static int read(BIO* bio, char* buffer, int size) {
        BIO_clear_retry_flags(bio);
        SocketBio& self = of(bio);
        TlsTransport& transport = *self.transport;
        if (self.received.empty() && !self.receive()) {
            if (transport.starved_) BIO_set_retry_read(bio);
            return transport.at_end_ ? 0 : -1;
        }
        const auto part =
            self.received.first(std::min(self.received.size(), static_cast<std::size_t>(size)));
        std::memcpy(buffer, part.data(), part.size());
        self.received = self.received.subspan(part.size());
        if (transport.first_byte_ == '\0') transport.first_byte_ = *buffer;
        return static_cast<int>(part.size());
    }

    // Once a turn: what comes later, epoll tells of. Who sends faster than it is read would never
    // let a turn end.
    bool receive() {
        const bool shaken = SSL_is_init_finished(transport->ssl_.get()) == 1;
        const std::size_t most = shaken ? input.size() : max_hello;
        ssize_t count = -1;
        errno = EAGAIN;
        if (std::exchange(transport->may_receive_, false))
            count = recv(transport->socket_.get(), input.data(), most, 0);
        transport->starved_ = count < 0 && is_transient(errno);
        transport->at_end_ = count == 0;
        if (count <= 0) return false;
        received = std::span{input}.first(static_cast<std::size_t>(count));
        return true;
    }

    // Takes all: that there is room, send() and receive() see to before they call OpenSSL. A record
    // that is refused in the middle stays with OpenSSL, and then the next SSL_read fails that has
    // a KeyUpdate to answer. (A handshake may fill it, with a long chain of certificates, and can
    // wait.)
    static int write(BIO* bio, const char* data, int size) {
        BIO_clear_retry_flags(bio);
        SocketBio& self = of(bio);
        const auto count = static_cast<std::size_t>(size);
        if (count > self.records.size() - self.gathered) {
            BIO_set_retry_write(bio);
            return -1;
        }
        std::memcpy(&self.records[self.gathered], data, count);
        self.gathered += count;
        return size;
    }

    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_EOF) return of(bio).transport->at_end_;
        return command == BIO_CTRL_FLUSH;  // flushed by TlsTransport, once a turn
    }

    static int destroy(BIO* bio) {
        delete &of(bio);
        return 1;
    }

    static BIO* shared() {
        static const std::unique_ptr<BIO, Free<BIO_free_all>> one{make()};
        BIO_up_ref(one.get());
        return one.get();
    }

    static BIO* make() {
        static BIO_METHOD* const method = make_method();
        auto self = std::make_unique<SocketBio>();
        BIO* bio = BIO_new(method);
        require(bio != nullptr, "BIO_new");
        BIO_set_data(bio, self.release());
        BIO_set_init(bio, 1);
        return bio;
    }

    static BIO_METHOD* make_method() {
        BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        require(method != nullptr, "BIO_meth_new");
        BIO_meth_set_read(method, read);
        BIO_meth_set_write(method, write);
        BIO_meth_set_ctrl(method, control);
        BIO_meth_set_destroy(method, destroy);
        return method;
    }
};

TlsContext::TlsContext() : TlsContext{make_self_signed_certificate()} {
    made_ = tickets_since_;
}

TlsContext::TlsContext(const std::string& certificate_file, const std::string& key_file)
    : TlsContext{read_certificate(certificate_file, key_file)} {}

TlsContext::TlsContext(const Certificate& certificate)
    : context_{make_context()}, bio_{SocketBio::shared()} {
    bool success = SSL_CTX_use_certificate(get(), certificate.x509.get()) == 1 &&
                   SSL_CTX_use_PrivateKey(get(), certificate.key.get()) == 1;
    for (const X509Certificate& issuer : certificate.chain)
        success = success && SSL_CTX_add1_chain_cert(get(), issuer.get()) == 1;
    if (!success)
        throw std::runtime_error{openssl_error("cannot use the certificate " + certificate.name)};
}

std::string TlsContext::fingerprint() const {
    return ::fingerprint(*SSL_CTX_get0_certificate(get()));
}

bool TlsContext::renew(std::time_t now) {
    if (!is_old(tickets_since_, 12 * hour, now)) return false;
    tickets_since_ = now;
    renew_ticket_keys();
    if (made_ == 0 || !is_old(made_, certificate_days * 24 * hour / 2, now)) return false;
    *this = TlsContext{};
    tickets_since_ = made_ = now;
    return true;
}

// A ticket is a session, sealed with a key that is the same for all. Whoever gets hold of that key
// can read what was recorded of every TLS 1.2 session with a ticket (RFC 5077 §5.5).
void TlsContext::renew_ticket_keys() {
    std::vector<unsigned char> keys(
        static_cast<std::size_t>(SSL_CTX_get_tlsext_ticket_keys(get(), nullptr, 0)));
    require(RAND_bytes(keys.data(), static_cast<int>(keys.size())) == 1, "RAND_bytes");
    require(SSL_CTX_set_tlsext_ticket_keys(get(), keys.data(), keys.size()) == 1,
            "SSL_CTX_set_tlsext_ticket_keys");
    OPENSSL_cleanse(keys.data(), keys.size());
}

TlsTransport::TlsTransport(UniqueFd socket, const TlsContext& context)
    : socket_{std::move(socket)}, ssl_{SSL_new(context.get())} {
    if (!ssl_) throw std::runtime_error{openssl_error("SSL_new")};
    BIO_up_ref(context.bio());
    SSL_set_bio(ssl_.get(), context.bio(), context.bio());  // takes it over
    SSL_set_accept_state(ssl_.get());
}

// Before any call that may read, write or fail.
SocketBio& TlsTransport::begin_turn() {
    SocketBio& bio = SocketBio::of(SSL_get_rbio(ssl_.get()));
    bio.transport = this;
    bio.gathered = 0;
    bio.received = unread_;
    may_receive_ = true;
    return bio;
}

// Task 5.2: epoll sees the socket, not what OpenSSL has read from it already. So read until it
// wants something, or the buffer is full, or a turn's worth of records was read, and say which.
IoResult TlsTransport::receive(std::span<std::byte> buffer) {
    if (discarding_) return receive_from(socket_.get(), buffer);
    SocketBio& bio = begin_turn();
    IoResult result;
    // A record of one byte costs as much as a KiB.
    std::size_t records = std::clamp<std::size_t>(buffer.size() / 8192, 4, 64);
    for (; records > 0 && result.size < buffer.size() && result.status == Status::done; --records) {
        if (bio.unsent() >= max_unsent) {
            result.status = Status::want_write;
            break;
        }
        clear_errors();
        starved_ = false;
        std::size_t size = 0;
        const int success = SSL_read_ex(ssl_.get(), buffer.data() + result.size,
                                        buffer.size() - result.size, &size);
        result.size += size;
        if (success == 1)
            useless_ = 0;
        else
            result.status = status_of_read(success);
        // As another call would say.
        if (success == 1 && !may_receive_ && bio.received.empty() && SSL_pending(ssl_.get()) == 0)
            result.status = Status::want_read;
    }
    // For the next turn. It may be a part of what was left from the one before.
    unread_ = std::vector<std::byte>(bio.received.begin(), bio.received.end());
    flush(bio);  // reading may have written: a handshake, an alert, a KeyUpdate
    return gone_ ? IoResult{0, Status::gone} : result;
}

// OpenSSL wants to read also where it has: a record that held no data. Go on with the next, unless
// nothing else comes.
Status TlsTransport::status_of_read(int result) {
    const Status status = status_of(result);
    if (status != Status::want_read || starved_) return status;
    if (++useless_ <= max_useless) return Status::done;
    on_failure();
    return Status::broken;
}

// Task 5.2: encrypt as much as may gather, send it, and go on while the socket takes it.
IoResult TlsTransport::send(std::span<const iovec> slices) {
    SocketBio& bio = begin_turn();
    IoResult result;
    for (const iovec& slice : slices) {
        std::size_t taken = 0;
        while (taken < slice.iov_len && result.status == Status::done) {
            if (bio.unsent() >= max_gathered && !flush(bio)) {
                result.status = Status::want_write;
                break;
            }
            clear_errors();
            std::size_t size = 0;
            const int success =
                SSL_write_ex(ssl_.get(), static_cast<const std::byte*>(slice.iov_base) + taken,
                             slice.iov_len - taken, &size);
            if (success != 1) result.status = status_of(success);
            taken += size;
        }
        result.size += taken;
        if (result.status != Status::done) break;
    }
    flush(bio);
    return gone_ ? IoResult{0, Status::gone} : result;
}

// Task 5.2: what SSL_get_error says, as what epoll is to wait for.
Status TlsTransport::status_of(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return Status::want_read;
        case SSL_ERROR_WANT_WRITE:
            return Status::want_write;
        case SSL_ERROR_ZERO_RETURN:
            return Status::ended;
        case SSL_ERROR_SYSCALL:
            return Status::gone;
        default:
            on_failure();
            return Status::broken;
    }
}

// OpenSSL has an alert ready for the peer, which shut_down() sends. A client that speaks HTTP would
// not understand it, and gets none: its first byte is a letter, which no TLS record begins with.
void TlsTransport::on_failure() {
    broken_ = true;
    if (first_byte_ >= 'A' && first_byte_ <= 'Z') {
        const std::string answer =
            refusal(HttpError{400, "this port speaks TLS: https:// or wss://"},
                    first_byte_ == 'H' ? "HEAD" : "GET");
        unsent_.append(std::as_bytes(std::span{answer}));
    }
    ERR_clear_error();
}

// What waited since an earlier turn, then what has gathered in this one; what the socket does not
// take has to wait. Returns whether all is with the socket.
bool TlsTransport::flush(SocketBio& bio) {
    const auto gathered = std::span{bio.records}.first(std::exchange(bio.gathered, 0));
    if (!unsent_.empty()) unsent_.consume(send_some(unsent_.front()));
    const std::size_t sent = unsent_.empty() ? send_some(gathered) : 0;
    if (gone_)
        unsent_.consume(unsent_.size());
    else if (sent < gathered.size())
        unsent_.append(gathered.subspan(sent));
    return unsent_.empty();
}

// How many bytes the socket takes until it is full.
std::size_t TlsTransport::send_some(std::span<const std::byte> records) {
    std::size_t sent = 0;
    while (sent < records.size()) {
        const ssize_t size =
            ::send(socket_.get(), &records[sent], records.size() - sent, MSG_NOSIGNAL);
        if (size < 0) {
            if (!is_transient(errno)) gone_ = true;
            break;
        }
        sent += static_cast<std::size_t>(size);
    }
    return sent;
}

// Task 5.2: close_notify goes last, where TLS is in order: after a failure SSL_shutdown must not be
// called (SSL_get_error(3)). The peer's own is not waited for; the end of its stream is.
bool TlsTransport::shut_down() {
    discarding_ = true;
    SocketBio& bio = begin_turn();
    if (!flush(bio)) return false;  // close_notify has no room behind what waits
    if (!notified_ && ready()) {
        notified_ = true;
        clear_errors();
        SSL_shutdown(ssl_.get());
        if (!flush(bio)) return false;
    }
    shutdown(socket_.get(), SHUT_WR);
    return true;
}
