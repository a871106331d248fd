/* SPDX-License-Identifier: MIT */
/* The headers are C++ as well, with a C++ program's warnings on. */
#include <thrum/thrum.h>

#include <iostream>

namespace
{
struct sum {
    int value = 0;
};

int add(void *arg)
{
    static_cast<sum *>(arg)->value += 21;
    return thrum_yield();
}

int app(void *arg)
{
    thrum_task *task = nullptr;
    int result = 0;
    int err = thrum_spawn(&task, add, arg, nullptr);
    if (!err)
        err = thrum_join(task, &result);
    return err ? err : add(arg);
}
} // namespace

int main()
{
    sum total;
    int err = thrum_run(app, &total, nullptr);
    if (err || total.value != 42) {
        std::cerr << "consumer: " << thrum_strerror(err) << ", total " << total.value << '\n';
        return 1;
    }
    return 0;
}
