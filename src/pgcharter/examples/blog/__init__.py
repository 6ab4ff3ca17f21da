"""The blog: users, sessions, posts and comments, written to the guide `default`."""
