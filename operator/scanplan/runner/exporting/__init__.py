"""The program in an export pod: sends one published result to one place. Start at `entry`."""
