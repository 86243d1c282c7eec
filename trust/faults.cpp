// Fails every call that phase 5 makes in its life, each at every place where it is made and with
// every errno of its man page, one fault a life; and looks what becomes of the server's clients.
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>

#include "common/error.hpp"
#include "common/options.hpp"
#include "judge.hpp"
#include "life.hpp"
#include "phase5_tls/tls.hpp"

namespace {

/// A certificate and its key in files that are gone afterwards.
class Directory {
public:
    Directory() {
        std::string name = std::filesystem::temp_directory_path() / "faults.XXXXXX";
        if (!mkdtemp(name.data())) throw_errno("mkdtemp");
        path_ = name;
        const Certificate made = make_self_signed_certificate();
        std::FILE* file = std::fopen(files().certificate.c_str(), "w");
        PEM_write_X509(file, made.x509.get());
        std::fclose(file);
        file = std::fopen(files().key.c_str(), "w");
        PEM_write_PrivateKey(file, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    PemFiles files() const { return {path_ / "certificate.pem", path_ / "key.pem"}; }

private:
    std::filesystem::path path_;
};

/// What the processes that play the lives write together.
template <typename T>
T& shared() {
    void* place =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw_errno("mmap");
    return *new (place) T{};
}

struct Case {
    Life life;
    Fault fault;
};

std::string error_name(const Fault& fault) {
    const Call& call = call_of(fault);
    if (fault.error == short_count) return "short";
    if (fault.error == for_good) return "fails for good";
    if (call.name == "getaddrinfo") return gai_strerror(fault.error);
    return call.group.starts_with("system calls") ? strerrorname_np(fault.error) : "fails";
}

/// "0 recv 3 EINTR": what --only takes.
std::string name_of(const Case& one) {
    return std::to_string(static_cast<int>(one.life)) + " " + call_of(one.fault).name + " " +
           std::to_string(one.fault.nth) + " " + error_name(one.fault);
}

struct Tally {
    std::atomic<unsigned> lives{0};
    std::atomic<unsigned> harmed{0};
    std::atomic<unsigned> ended{0};
    std::atomic<unsigned> leaks{0};  // OpenSSL's own
    std::atomic<unsigned> wrong{0};
};

struct Work {
    bool show_logs = false;
    std::array<Tally, Record::max_calls> tallies;
    std::array<Record, 4> sound;  // by life: nothing failed
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> done{0};
};

void try_out(const Case& one, const PemFiles& files, Record& record, Work& work) {
    record = Record{};
    const Outcome outcome = live(one.life, one.fault, files, record);
    if (work.show_logs) std::cout << outcome.log << std::flush;
    ++work.done;
    if (!record.struck) return;
    Tally& tally = work.tallies[static_cast<std::size_t>(one.fault.call)];
    ++tally.lives;
    if (outcome.status == 1) ++tally.ended;
    if (outcome.status == 0 && !outcome.harmed.empty()) ++tally.harmed;
    const Record& sound = work.sound[static_cast<std::size_t>(one.life)];
    if (record.openssl_leaks && record.blocks_kept > sound.blocks_kept) ++tally.leaks;
    const Complaints wrong = judge(one.fault, outcome, record, sound);
    if (wrong.empty()) return;
    ++tally.wrong;
    std::string text = "--only '" + name_of(one) + "'";
    for (const std::string& what : wrong) text += "\n    " + what;
    std::cout << text + "\n" << std::flush;
}

/// Lives are mostly spent waiting: several at a time.
void try_all(const std::vector<Case>& cases, std::size_t jobs, const PemFiles& files, Work& work) {
    for (std::size_t job = 0; job < jobs; ++job) {
        if (check(fork(), "fork") != 0) continue;
        Record& record = shared<Record>();
        for (std::size_t i; (i = work.next++) < cases.size();)
            try_out(cases[i], files, record, work);
        _exit(0);
    }
    for (std::size_t job = 0; job < jobs; ++job) wait(nullptr);
}

/// What OpenSSL makes once and keeps is no leak: it is made here.
void warm_up(const PemFiles& files) {
    const TlsContext context{files.certificate, files.key};
    std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>> client{SSL_CTX_new(TLS_client_method())};
    std::unique_ptr<SSL, Free<SSL_free>> ends[] = {
        std::unique_ptr<SSL, Free<SSL_free>>{SSL_new(context.get())},
        std::unique_ptr<SSL, Free<SSL_free>>{SSL_new(client.get())}};
    BIO* bios[2];
    BIO_new_bio_pair(&bios[0], 0, &bios[1], 0);
    for (int i : {0, 1}) SSL_set_bio(ends[i].get(), bios[i], bios[i]);
    SSL_set_accept_state(ends[0].get());
    SSL_set_connect_state(ends[1].get());
    for (int turn = 0; turn < 10; ++turn) SSL_do_handshake(ends[turn % 2].get());
    ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR);
    openssl_error("warm-up");
    OPENSSL_thread_stop();
}

/// OpenSSL allocates thousands of times: the short lives are for that, and for the certificate that
/// is made.
bool is_worth_it(Life life, const Call& call) {
    const bool allocates = call.name == "OPENSSL_malloc";
    if (life == Life::whole) return !allocates;
    return allocates || (life == Life::self_made && call.whom == For::certificate);
}

/// A reload does again what the start does.
std::uint32_t first(Life life, const Record& sound, std::size_t call) {
    return life == Life::tls ? sound.before_clients[call] + 1 : 1;
}

/// Every error of every call, each time that a life in which nothing fails makes it.
std::vector<Case> all_cases(const Work& work) {
    std::vector<Case> cases;
    for (const Life life : {Life::whole, Life::tls, Life::self_made}) {
        const Record& sound = work.sound[static_cast<std::size_t>(life)];
        for (std::size_t call = 0; call < calls().size(); ++call) {
            if (!is_worth_it(life, calls()[call])) continue;
            for (const int error : calls()[call].errors) {
                // Whoever has no memory waits for a second: some of these are enough.
                const std::uint32_t step = error == for_good ? sound.counts[call] / 30 + 1 : 1;
                for (auto nth = first(life, sound, call); nth <= sound.counts[call]; nth += step)
                    cases.push_back({life, {static_cast<int>(call), nth, error}});
            }
        }
    }
    return cases;
}

/// Of each call some, spread over its places and errors; more of memory, for which there are most.
std::vector<Case> sample(const std::vector<Case>& cases) {
    std::map<int, std::vector<Case>> by_call;
    for (const Case& one : cases) by_call[one.fault.call].push_back(one);
    std::vector<Case> some;
    for (const auto& [call, all] : by_call) {
        const std::size_t count = std::min<std::size_t>(all.size() > 500 ? 50 : 6, all.size());
        for (std::size_t i = 0; i < count; ++i) some.push_back(all[i * all.size() / count]);
    }
    return some;
}

/// One line for each group of calls, as `make trust` reads it. Returns whether all is well.
bool report(const Work& work) {
    std::map<std::string, std::array<unsigned, 6>> sums;
    for (std::size_t i = 0; i < calls().size(); ++i) {
        const Tally& tally = work.tallies[i];
        auto& [called, lives, harmed, ended, leaks, wrong] = sums[calls()[i].group];
        called += tally.lives > 0;
        lives += tally.lives;
        harmed += tally.harmed;
        ended += tally.ended;
        leaks += tally.leaks;
        wrong += tally.wrong;
    }
    bool all_well = true;
    for (const auto& [group, sum] : sums) {
        const auto& [called, lives, harmed, ended, leaks, wrong] = sum;
        if (lives == 0) continue;  // --only
        const bool ok = wrong == 0;
        all_well = all_well && ok;
        std::cout << "RESULT {\"attack\": \"" << group << "\", \"tried\": \"" << called
                  << " calls, one fault a life\", \"count\": " << lives
                  << ", \"ok\": " << (ok ? "true" : "false") << ", \"detail\": \"" << harmed
                  << " ended their own connection, " << ended << " the server with one line, "
                  << lives - harmed - ended << " nothing";
        if (leaks > 0) std::cout << "; OpenSSL itself leaked in " << leaks;
        if (wrong > 0) std::cout << "; WRONG: " << wrong;
        std::cout << "\"}" << std::endl;
    }
    return all_well;
}

/// It has a turn for its event and one for what was held back, and then the others have theirs.
bool report_greed(const Record& greedy) {
    const std::size_t turns_needed = greedy_messages * (125 + 6) / greedy_turn;
    const std::size_t rounds = turns(greedy);
    const bool ok = rounds >= turns_needed / 3;
    std::cout << "RESULT {\"attack\": \"a client that always has more to say\", \"tried\": \""
              << turns_needed << " turns of " << greedy_turn
              << " bytes\", \"count\": 1, \"ok\": " << (ok ? "true" : "false")
              << ", \"detail\": \"spread over " << rounds << " rounds of the loop\"}" << std::endl;
    return ok;
}

int run(int argc, char** argv) {
    bool quick = false;
    bool verbose = false;
    std::string only;
    std::size_t jobs = 8;
    Options options{"faults", "Fails every call of phase 5, one a life of the server."};
    options.toggle("--quick", "some of each call", quick);
    options.toggle("-v", "show what the servers log", verbose);
    options.text("--only", "CASES", "what begins like this: '0 recv 3 EINTR', '0 recv'", only);
    options.count("--jobs", "N", "lives at a time", jobs);
    if (!options.parse(argc, argv)) return 0;

    const Directory directory;
    const PemFiles files = directory.files();
    warm_up(files);
    Work& work = shared<Work>();
    for (const Life life : {Life::whole, Life::tls, Life::self_made, Life::greedy}) {
        Record& sound = work.sound[static_cast<std::size_t>(life)];
        const Outcome outcome = live(life, Fault{}, files, sound);
        Complaints wrong = outcome.wrong;
        wrong.insert(wrong.end(), outcome.harmed.begin(), outcome.harmed.end());
        if (outcome.status != 0) wrong.push_back(outcome.log);
        if (!wrong.empty()) throw std::runtime_error{"a life without faults: " + wrong.front()};
    }
    std::vector<Case> cases = all_cases(work);
    if (quick) cases = sample(cases);
    if (!only.empty())
        std::erase_if(cases, [&](const Case& one) { return !name_of(one).starts_with(only); });
    work.show_logs = verbose;
    try_all(cases, jobs, files, work);
    if (work.done != cases.size()) throw std::runtime_error{"not all lives were lived"};
    const bool fair = report_greed(work.sound[static_cast<std::size_t>(Life::greedy)]);
    return report(work) && fair ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    wrap_openssl_memory();
    std::signal(SIGPIPE, SIG_IGN);  // libssl's own socket BIO, in the clients
    int status = 0;
    const int failed = run_program("faults", [&] { status = run(argc, argv); });
    return failed != 0 ? failed : status;
}
