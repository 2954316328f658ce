// What every function of the C ABI shares: exceptions become statuses, handles become objects.
#pragma once
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "csrc/include/mie/mie.h"
#include "detect.h"
#include "session.h"

namespace mie::abi {

struct Failure : std::exception {
    Failure(mie_status status, std::string text) : status(status), text(std::move(text)) {}
    const char* what() const noexcept override { return text.c_str(); }
    mie_status status;
    std::string text;
};

mie_status fail(mie_status status, const char* text) noexcept;  // remembers the text for mie_last_error

template <class Body>
mie_status guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const Failure& error) {
        return fail(error.status, error.what());
    } catch (const EngineMissing& error) {
        return fail(MIE_NO_ENGINE, error.what());
    } catch (const std::invalid_argument& error) {
        return fail(MIE_BAD_VALUE, error.what());
    } catch (const std::system_error& error) {
        return fail(MIE_IO, error.what());
    } catch (const std::bad_alloc&) {
        return fail(MIE_NO_MEMORY, "out of memory");
    } catch (const std::exception& error) {
        return fail(MIE_INTERNAL, error.what());
    } catch (...) {
        return fail(MIE_INTERNAL, "unknown error");
    }
}

inline void allow(bool holds, const std::string& text) {
    if (!holds) throw Failure(MIE_BAD_VALUE, text);
}

template <class T>
T* given(T* pointer, const char* name) {
    if (!pointer) throw Failure(MIE_NULL, std::string(name) + " is null");
    return pointer;
}

template <class T>
T& sized(T* record, const char* name) {
    if (given(record, name)->size != sizeof(T))
        throw Failure(MIE_BAD_SIZE, std::string(name) + ".size is " + std::to_string(record->size) + ", this library's is " +
                                        std::to_string(sizeof(T)) +
                                        ": set it with the _INIT macro, and build against this version's mie.h");
    return *record;
}

// What stands behind a handle; `busy` while a call of a [one] function is at work on it.
struct Object {
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

// One table per kind. id: kind, generation and place; the generation changes when the place is freed, so that old ids are known as such.
template <class T>
class Handles {
  public:
    static Handles& shared() {
        static auto* table = new Handles;  // never destroyed: threads may still call while the process ends
        return *table;
    }
    uint64_t add(std::shared_ptr<T> object) {
        const std::lock_guard<std::mutex> hold(lock_);
        size_t place = 0;
        while (place < slots_.size() && slots_[place].object) ++place;
        if (place == slots_.size()) slots_.emplace_back();
        slots_[place].object = std::move(object);
        return id(place);
    }
    std::shared_ptr<T> at(uint64_t handle) {
        const std::lock_guard<std::mutex> hold(lock_);
        return slots_[place_of(handle)].object;
    }
    std::shared_ptr<T> remove(uint64_t handle) {
        const std::lock_guard<std::mutex> hold(lock_);
        Slot& slot = slots_[place_of(handle)];
        slot.generation = slot.generation % 0xFFFFFF + 1;
        return std::move(slot.object);
    }

  private:
    struct Slot {
        uint32_t generation = 1;  // 24 bits
        std::shared_ptr<T> object;
    };
    uint64_t id(size_t place) const { return uint64_t(T::kKind) << 56 | uint64_t(slots_[place].generation) << 32 | place; }
    size_t place_of(uint64_t handle) const {
        const size_t place = uint32_t(handle);
        if (place >= slots_.size() || !slots_[place].object || id(place) != handle)
            throw Failure(MIE_BAD_HANDLE, std::string("this ") + T::kName + " was never made, or was destroyed");
        return place;
    }
    std::mutex lock_;
    std::vector<Slot> slots_;
};

// An object for the length of one [one] call.
template <class T>
class Use {
  public:
    explicit Use(uint64_t handle) : object_(Handles<T>::shared().at(handle)) {
        if (object_->busy.test_and_set(std::memory_order_acquire))
            throw Failure(MIE_BUSY, std::string("another call is at work on this ") + T::kName);
    }
    ~Use() { object_->busy.clear(std::memory_order_release); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    T* operator->() const { return object_.get(); }

  private:
    std::shared_ptr<T> object_;
};

template <class T>
mie_status destroy(uint64_t handle) noexcept {
    return guarded([&] {
        const Use<T> alone(handle);
        Handles<T>::shared().remove(handle);
        return MIE_OK;
    });
}

struct SessionObject : Object {
    static constexpr int kKind = 1;
    static constexpr const char* kName = "session";
    std::unique_ptr<Session> session;
};

// A network with one input and two outputs, whoever runs it; checked against what it must be.
struct NetworkShape {
    const char* name;
    int64_t input;
    const char* first_name;
    int64_t first;
    const char* second_name;
    int64_t second;
};
std::function<void(const float*, float*, float*)> runner(const mie_network& network, const NetworkShape& shape);

Networks networks_of(const mie_networks* networks);
Frame frame_of(const mie_frame* frame, const char* name);

}  // namespace mie::abi
