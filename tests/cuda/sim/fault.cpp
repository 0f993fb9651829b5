/* Faults of the program under test: printing, counting, ending the process with a status of their own; and failures made on purpose. */
#include "block.h"
#include "host.h"
#include "memory.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include <unistd.h>

namespace cusim {

enum { EXIT_STATUS = 86, PRINTED = 12 };
static int faults;
static std::recursive_mutex mutex;

static int depth;

Guard::Guard() {
    mutex.lock();
    depth++;
}
Guard::~Guard() {
    if (--depth == 0) device_close();
    mutex.unlock();
}
void yield_guard() {
    mutex.unlock();
    usleep(20);
    mutex.lock();
}

long setting(const char *name, long otherwise) {
    const char *text = std::getenv(name);
    return text != nullptr && *text != '\0' ? std::strtol(text, nullptr, 10) : otherwise;
}

static void print(const char *format, va_list arguments) {
    /* One write per message, so that ranks do not mix theirs. */
    char text[1024];
    int used = 0;
    if (running_kernel() != nullptr) {
        used = std::snprintf(text, sizeof text, "cusim: kernel %s, block (%u,%u,%u)", running_kernel(), block_index.x, block_index.y,
                             block_index.z);
        if (self != nullptr)
            used += std::snprintf(text + used, sizeof text - static_cast<size_t>(used), ", thread (%u,%u,%u)", self->thread.x,
                                  self->thread.y, self->thread.z);
        used += std::snprintf(text + used, sizeof text - static_cast<size_t>(used), ": ");
    } else {
        used = std::snprintf(text, sizeof text, "cusim: ");
    }
    std::vsnprintf(text + used, sizeof text - static_cast<size_t>(used), format, arguments);
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", text);
}

void fault(const char *format, ...) {
    if (++faults > PRINTED) return;
    va_list arguments;
    va_start(arguments, format);
    print(format, arguments);
    va_end(arguments);
    if (faults == PRINTED) std::fprintf(stderr, "cusim: further faults are only counted\n");
}

void fatal(const char *format, ...) {
    faults++;
    va_list arguments;
    va_start(arguments, format);
    print(format, arguments);
    va_end(arguments);
    std::fflush(nullptr);
    _exit(EXIT_STATUS);
}

/* Right numbers do not excuse a fault: whatever the program returned, its test is to fail. */
__attribute__((destructor)) static void at_end() {
    check_memory_at_end();
    if (faults == 0) return;
    std::fprintf(stderr, "cusim: %d faults in process %ld\n", faults, static_cast<long>(getpid()));
    std::fflush(nullptr);
    _exit(EXIT_STATUS);
}

struct Injection {
    long call, code;
    long seen;
};

/* CUSIM_FAIL=function:call[:status][,...] */
static std::multimap<std::string, Injection> read_injections() {
    std::multimap<std::string, Injection> result;
    const char *text = std::getenv("CUSIM_FAIL");
    std::string all = text != nullptr ? text : "";
    for (size_t begin = 0; begin < all.size();) {
        const size_t end = std::min(all.find(',', begin), all.size());
        const std::string entry = all.substr(begin, end - begin);
        const size_t colon = entry.find(':');
        Injection injection = {1, 0, 0};
        if (colon != std::string::npos) std::sscanf(entry.c_str() + colon, ":%ld:%ld", &injection.call, &injection.code);
        result.emplace(entry.substr(0, colon), injection);
        begin = end + 1;
    }
    return result;
}

bool injected(const char *function, int otherwise, int *code) {
    static std::multimap<std::string, Injection> injections = read_injections();
    if (injections.empty()) return false;
    bool hit = false;
    auto range = injections.equal_range(function);
    for (auto it = range.first; it != range.second; ++it) {
        Injection &injection = it->second;
        if (++injection.seen != injection.call) continue;
        *code = injection.code != 0 ? static_cast<int>(injection.code) : otherwise;
        hit = true;
    }
    return hit;
}

} // namespace cusim

int cusim_errors(void) {
    return cusim::faults;
}

void cusim_forget_errors(void) {
    cusim::faults = 0;
}
