"""What is played, counted and remembered, on threads of its own. Not here: Qt."""
