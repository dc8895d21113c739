# Hands over to the CMake build, so that `node-gyp rebuild` works too.
{
  "targets": [
    {
      "target_name": "dlcourse",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["native/CMakeLists.txt"],
          "outputs": ["build/native/Release/dlcourse.node"],
          "action": ["npm", "run", "build:native"]
        }
      ]
    }
  ]
}
