"""The ROS 2 package livesnn_ros, which colcon builds."""

from setuptools import setup

setup(
    name="livesnn_ros",
    version="0.1.0",
    py_modules=["livesnn_node"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/livesnn_ros"]),
        ("share/livesnn_ros", ["package.xml"]),
        ("share/livesnn_ros/launch", ["launch/livesnn.launch.py"]),
    ],
    entry_points={"console_scripts": ["node = livesnn_node:main"]},
)
