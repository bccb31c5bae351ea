# %% [markdown]
# # A first look at a running program
#
# A *profiler* looks at a program many times a second and writes down which function it is in,
# and who called that. Functions that it sees often are where the time goes. Here you record a
# program while it runs, read the picture of it, and find out what made it slower: with a number
# for how sure that is.
#
# First: what does this machine allow? `cprof.doctor()` says it, and what would change it.

# %%
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import cprof

SECONDS = 6
here = cprof.doctor()
can_record = here.can_record and shutil.which("cc") is not None
here

# %% [markdown]
# ## Record
#
# The program is a small shop, [shop.c](shop.c). It handles orders: `parse` reads one,
# `lookup` searches the customer in a list. It runs already when we look at it: it is neither
# stopped nor changed. Where recording is not possible, we take a recording that was made before.

# %%
if can_record:
    program = Path(mkdtemp()) / "shop"
    subprocess.run(["cc", "-O1", "-g", "-o", program, "shop.c"], check=True)
    with subprocess.Popen([program]) as running:
        try:
            profile = cprof.record(running.pid, duration=SECONDS, freq=499)
        finally:
            running.kill()
    print("This was recorded here, just now.")
else:
    profile = cprof.load("data/first-look.cprof")["cpu"]
    print("Recording is not possible here (see above): this is the recording that came along.")
profile.top(5)

# %% [markdown]
# One row is one function. **self** is the time in the function itself, **total** that with
# everything that it called. The line above says how good the recording is: how many samples
# there are, and how many were lost.
#
# ## The flame graph
#
# Each box is a function; its *width* is its share of the time. A box stands on its caller, so
# `main` is at the bottom. Left to right is *not* time. Look for wide boxes with nothing on top
# of them: there the processor was at work.

# %%
axes = profile.flamegraph()
# %% [markdown]
# The profile itself is a page to click in: zoom, search, and the source with the cost of each
# line.

# %%
profile

# %% [markdown]
# ## When?
#
# Does the program always do the same? Each column is a moment, and its colours are the functions
# that ran then.

# %%
axes = profile.timeline(by="function")
# %% [markdown]
# After about three seconds something changes: `lookup` takes more. Cut out two seconds before and
# two after that, to measure it. A sample is a matter of luck, as a throw of dice is: `share` says
# how large a part is, and between which limits (`low`, `high`) the truth lies in 95 of 100 such
# recordings.

# %%
before = profile.window(0, 2)
after = profile.window(4, 6)
print("before:", before.share("lookup"))
print("after: ", after.share("lookup"))

# %% [markdown]
# ## Is the difference real?
#
# `cprof.diff` compares every function. **delta** is how much its share changed, **low** and
# **high** are the limits of that, and **state** says `grew` or `shrank` only where chance is a
# poor explanation; all else is the `same`.

# %%
difference = cprof.diff(before, after)
difference.top(5)

# %% [markdown]
# Before you trust a difference, compare what should *not* differ: two seconds before the change,
# with each other. Here everything should be the `same`, though no two numbers are equal.

# %%
control = cprof.diff(profile.window(0, 1), profile.window(1, 2))
control.top(5)

# %% [markdown]
# The difference as a page: what grew has one colour, what shrank another.

# %%
difference

# %% [markdown]
# A program can ask, too: this is how a script would notice that `lookup` got slower.

# %%
(lookup,) = (row for row in difference.rows if row.function == "lookup")
assert lookup.state == "grew", f"lookup is {lookup.state}"
print(f"lookup grew by {100 * lookup.low:.0f} to {100 * lookup.high:.0f} points of the whole.")

# %% [markdown]
# **Try it:** change `MORE` in shop.c to 0 and run all cells again. Which states do you expect,
# and what does the last cell say? Then record a program of your own: `cprof.record(pid)`, where
# `pid` is its number in `ps`.
